"""The replay process: `python -m agent.replay PARENT`, order on standard input, answer on standard output."""

from __future__ import annotations

import sys

from agent.remote.proof.low import be_low

if __name__ == "__main__":
    be_low(int(sys.argv[1]))
    from agent.replay.work import main  # numpy and the runtimes start threads

    main()
