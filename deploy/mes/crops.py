"""Pictures of defects in a folder, named as verdicts name them: SHA256.jpg."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as paho

from contract import ConsumerError, UnreadableError

SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89P": ".png"}
REMEDIES = {
    errno.ENOSPC: "free space on that disk",
    errno.EDQUOT: "raise the quota or free space",
    errno.ENOENT: "mount its disk or make it again",
    errno.ENOTDIR: "something else has this name: move it away or give another folder",
    errno.EEXIST: "something else has this name: move it away or give another folder",
}


class Crop(NamedTuple):
    name: str
    image: bytes


def read_crop(message: paho.MQTTMessage) -> Crop:
    """Raises UnreadableError when the picture is not the one that was promised."""
    image = bytes(message.payload)
    digest = hashlib.sha256(image).hexdigest()
    promised = dict(getattr(message.properties, "UserProperty", ())).get("sha256", digest)
    if promised != digest:  # stations on MQTT 3.1.1 promise nothing here
        raise UnreadableError(f"sha256 is {digest}, not {promised}"[:500])
    return Crop(f"{digest}{SUFFIXES.get(image[:2], '.bin')}", image)


def open_folder(folder: Path) -> None:
    """Make the folder where only it is missing, and try to write there. Raises ConsumerError."""
    try:
        folder.mkdir(exist_ok=True)  # not its parents: the disk that should be there may not be mounted
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _explained(folder, error) from error


def keep(folder: Path, crop: Crop) -> None:
    """Durable on return. Raises ConsumerError."""
    path = folder / crop.name
    part = path.with_suffix(".part")
    try:
        if path.exists() and path.stat().st_size == len(crop.image):
            return
        with part.open("wb") as file:
            file.write(crop.image)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)  # the name, too
        finally:
            os.close(handle)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise _explained(folder, error) from error


def _explained(folder: Path, error: OSError) -> ConsumerError:
    remedy = REMEDIES.get(error.errno or 0, "let this user write there, or give another folder")
    return ConsumerError(f"--crops {folder}: {error.strerror or error}; {remedy}")
