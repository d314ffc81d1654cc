"""What a path may point to that is no file of ours: to read it whole never ends, or fills memory."""

from __future__ import annotations

import os
from pathlib import Path


def no_regular_files(folder: Path) -> list[Path]:
    """A device, a pipe that nobody writes to, a link to a device, and a file larger than the memory."""
    os.mkfifo(folder / "pipe", 0o600)
    (folder / "link").symlink_to("/dev/zero")
    with (folder / "huge").open("wb") as file:
        file.truncate(1 << 40)
    (folder / "huge").chmod(0o600)
    return [Path("/dev/zero"), *(folder / name for name in ("pipe", "link", "huge"))]
