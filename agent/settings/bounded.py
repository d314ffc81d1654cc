"""Small files of others, read with a bound: a device, a pipe or a huge file is refused before it is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class UnreadableError(Exception):
    """Why a file is not read, in a few words; the caller names the file and the remedy."""


def read(path: Path, *, max_bytes: int) -> bytes:
    """The whole regular file at `path`, or what a link there points to. Raises UnreadableError."""
    try:
        # Non-blocking: the open of a pipe would wait for somebody who writes.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    except ValueError as error:
        raise UnreadableError("is no file name") from error
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise UnreadableError("is a folder, not a file")
        if not stat.S_ISREG(mode):
            raise UnreadableError("is no regular file")
        with open(handle, "rb", closefd=False) as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    finally:
        os.close(handle)
    if len(data) > max_bytes:
        raise UnreadableError(f"is larger than {max_bytes} bytes")
    return data


def text_of(data: bytes) -> str:
    """UTF-8 without its byte-order mark. Raises UnreadableError that names the encoding where it shows."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableError("is UTF-16, not UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not UTF-8 at byte {error.start}") from error
