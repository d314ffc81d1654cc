"""The teaching process: `python -m agent.teach PARENT`, order on standard input, how far it is on output."""

from __future__ import annotations

import sys

from agent.remote.proof.low import be_low

if __name__ == "__main__":
    be_low(int(sys.argv[1]))
    from agent.teach.work import main  # numpy and the runtimes start threads

    main()
