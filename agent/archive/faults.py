"""What can be wrong with the archive's folder, in the words of the person who has to mend it."""

from __future__ import annotations

import errno
from pathlib import Path

from agent.errors import PlumblineError, out_of_room
from agent.foreign import shown


class ArchiveError(PlumblineError):
    """The archive cannot do its work; names the folder, the cause and the remedy."""


class NoRoomError(ArchiveError):
    """Nothing that may go would make enough room."""


def explained(folder: Path, error: OSError) -> ArchiveError:
    """What the system says, with the remedy."""
    where = shown(str(error.filename or folder))
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            remedy = "free space on that disk, or lower archive.max_bytes"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            remedy = "let the agent's user write there"
        case errno.EEXIST | errno.ENOTDIR | errno.EISDIR:
            remedy = "something else has this name; move it away or set archive.folder"
        case _:
            remedy = "check that disk, its mount and the kernel log, or set archive.folder"
    return ArchiveError(f"{where}: {out_of_room(error) or f'{error.strerror}; {remedy}'}")


def unknown(id_: str) -> ArchiveError:
    return ArchiveError(f"{shown(id_)}: the archive has no such entry; it may have made room since")
