"""A fetch that is killed after so many bytes have reached the disk, and gone on with by another process.

    python -m tests.agent.remote.transport.killed FOLDER URL TARGET AT...

For each AT: a child process fetches into FOLDER/AT and is killed in the middle of a write; then this process
fetches again. Prints as JSON, for each, what the kill left and whether the bundle is whole in the end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from agent.contract.desired import Target
from tests.agent.remote.transport.goods import Wanting, sizes, web_source


def kill_after(size: int) -> None:
    """This process, when it has written so many bytes; the last write is cut short."""
    write, left = os.write, size

    def counted(descriptor: int, data: Any) -> int:
        nonlocal left
        written = write(descriptor, memoryview(data)[:left])
        left -= written
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    os.write = counted  # type: ignore[assignment]


def main(folder: Path, url: str, target: Target, at: list[int]) -> None:
    found = []
    for size in at:
        own = folder / str(size)
        child = os.fork()
        if child == 0:
            kill_after(size)
            Wanting(folder=own).fetch(target, web_source(url))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        left = sizes(own / ".candidate") if (own / ".candidate").exists() else {}
        Wanting(folder=own).fetch(target, web_source(url))
        found.append({"killed": os.WIFSIGNALED(status), "left": left})
    print(json.dumps(found))


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        sys.argv[2],
        Target.model_validate_json(sys.argv[3]),
        [int(one) for one in sys.argv[4:]],
    )
