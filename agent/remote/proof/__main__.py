"""The proof process: `python -m agent.remote.proof PARENT HANDLE`, its order on standard input."""

from __future__ import annotations

import sys

from agent.remote.proof.low import be_low

if __name__ == "__main__":
    be_low(int(sys.argv[1]))
    from agent.remote.proof.work import main  # numpy and the runtimes start threads

    main(int(sys.argv[2]))
