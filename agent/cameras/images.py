"""Pictures from files, as the agent sees them: 8 bit, (height, width, channels), RGB or mono."""

from __future__ import annotations

import errno
import mmap
import re
import stat
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import cast

import cv2
import numpy as np

from agent.cameras.camera import CameraError
from agent.cameras.formats import bmp, jpeg, png, tiff
from agent.cameras.formats.described import Damaged, Unjudgeable
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.messages import Pixels, Samples
from agent.settings.camera import MAX_MEGAPIXELS

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
KINDS = " ".join(sorted(suffix[1:] for suffix in SUFFIXES))
_NO_IMAGE = f"is damaged or not an image ({KINDS}); replace or remove the file"
BYTES_PER_PIXEL = 8  # four channels of 16 bits, the most that a file without compression has
HEADERS = 16 << 20  # and profiles, thumbnails


class ImageError(PlumblineError):
    """A file that gives no usable picture; the message names the file and the remedy."""


def list_images(path: Path) -> list[Path]:
    """The image files of a folder in natural name order, or the one file that `path` is.

    Hidden ones, which other systems leave behind, are not among them. Raises CameraError when there is none.
    """
    if path.is_file():
        return [path]
    try:
        found = [file for file in path.iterdir() if is_picture(file.name) and file.is_file()]
    except OSError as error:
        raise CameraError(
            f"{shown(str(path))}: cannot be listed ({error.strerror}); set source.path to a folder"
        ) from error
    if not found:
        raise CameraError(f"{shown(str(path))}: holds no image ({KINDS}); put some there or set source.path")
    return sorted(found, key=lambda file: natural_key(file.name))


def left_out(path: Path) -> str | None:
    """What of a folder `list_images` does not give, in one line; None where that is nothing."""
    if not path.is_dir():
        return None
    found: Counter[str] = Counter()
    for one in path.iterdir():
        if one.name[0] == ".":
            found["hidden"] += 1
        elif one.is_dir():
            found["folders below"] += 1
        elif not is_picture(one.name):
            found[f"of kind {shown(one.suffix.lower()) or 'without a suffix'}"] += 1
    if not found:
        return None
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.items()))
    return f"{shown(str(path))}: not read: {kinds}; give each folder of pictures by itself"


def is_picture(name: str) -> bool:
    """By its name; hidden files are none."""
    return Path(name).suffix.lower() in SUFFIXES and name[0] != "."


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sorts cell2 before cell10, and is total: names that differ have keys that differ."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if odd % 2 else (-1, part.casefold()) for odd, part in enumerate(parts)], name


def read_image(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> Pixels:
    """The picture in a file; transparency is dropped. Raises ImageError, also for what decoders forgive."""
    picture = read_stored(path, max_megapixels)
    if picture.dtype != np.uint8:
        raise ImageError(f"{shown(str(path))}: has {picture.dtype} pixels; convert it to 8 bits per channel")
    return from_opencv(cast(Pixels, picture))


def read_stored(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> Samples:
    """As it is stored and OpenCV has it: (h, w), (h, w, 1) or BGR(A), 8 or more bits. Raises ImageError.

    Size and pages come from the header, so that nothing larger than the bound is ever decoded.
    """
    name = shown(str(path))
    try:
        if (size := _size_bytes(path)) > max_megapixels * 1e6 * BYTES_PER_PIXEL + HEADERS:
            raise ImageError(f"{name}: {_too_large(f'{size} bytes', max_megapixels)}")
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror}); check the file") from error
    try:
        return _decoded(data, name, max_megapixels)
    except Damaged as error:
        raise ImageError(f"{name}: is damaged ({error}); replace or remove the file") from error
    except Unjudgeable as error:
        raise ImageError(f"{name}: {error}") from error


def size_of(path: Path) -> tuple[int, int]:
    """Width and height as the header says; the rest of the file may be damaged. Raises ImageError."""
    name = shown(str(path))
    try:
        _size_bytes(path)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            kind = _kind(data[:8])
            header = None if kind is None else kind.describe(data)
    except (OSError, ValueError, Damaged) as error:
        raise ImageError(f"{name}: its size cannot be read ({error}); replace or remove the file") from error
    if header is None:
        raise ImageError(f"{name}: {_NO_IMAGE}")
    return header.width, header.height


def _decoded(data: bytes, name: str, max_megapixels: float) -> Samples:
    """Raises Damaged, Unjudgeable and ImageError."""
    kind = _kind(data)
    if kind is None:
        raise ImageError(f"{name}: {_NO_IMAGE}")
    header = kind.describe(data)
    if not header.width or not header.height:
        raise Damaged("it has no pixels")
    if header.width * header.height > max_megapixels * 1e6:
        size = f"{header.width} x {header.height} pixels"
        raise ImageError(f"{name}: {_too_large(size, max_megapixels)}")
    if header.pages > 1:
        raise ImageError(f"{name}: holds {header.pages} pictures; save each in a file of its own")
    if kind is jpeg and (picture := jpeg.decode(data)) is not None:
        return picture
    if kind is not jpeg:
        kind.check(data)
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise Damaged(error.err) from error
    if decoded is None:
        raise Damaged("it does not decode")
    return cast(Samples, decoded)


def _size_bytes(path: Path) -> int:
    """Raises OSError, also for pipes and devices, which would be waited for, or read, for ever."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    return found.st_size


def _kind(data: bytes) -> ModuleType | None:
    """By its first bytes: a name says nothing of what is inside."""
    kinds = ((png, (png.MAGIC,)), (jpeg, (jpeg.MAGIC,)), (tiff, tiff.MAGICS), (bmp, (bmp.MAGIC,)))
    return next((kind for kind, magics in kinds if data.startswith(magics)), None)


def _too_large(what: str, max_megapixels: float) -> str:
    return f"{what} are more than {max_megapixels:g} megapixels; cut it up, scale it or raise max_megapixels"


def from_opencv(picture: Pixels) -> Pixels:
    """OpenCV's (h, w) or BGR(A) as ours: (h, w, 1) or RGB."""
    if picture.ndim == 2:
        return picture[:, :, np.newaxis]
    if picture.shape[2] == 1:
        return picture
    code = cv2.COLOR_BGRA2RGB if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cast(Pixels, cv2.cvtColor(picture, code))
