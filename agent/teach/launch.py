"""Another program at the lowest priority: `python -m agent.teach.launch PARENT PROGRAM WORD...`."""

from __future__ import annotations

import os
import sys

from agent.remote.proof.low import be_low

if __name__ == "__main__":
    be_low(int(sys.argv[1]))  # what it sets outlives the exec, its end with the parent, too
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell, a program that was found beside ours
