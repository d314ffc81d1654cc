"""Pictures from files, as the agent sees them: 8 bit, (height, width, channels), RGB or mono."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from agent.cameras.camera import CameraError
from agent.errors import PlumblineError
from agent.messages import Pixels

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})


class ImageError(PlumblineError):
    """A file that gives no usable picture; the message names the file and the remedy."""


def list_images(path: Path) -> list[Path]:
    """The image files of a folder in natural name order, or the one file that `path` is.

    Raises CameraError when there is none.
    """
    if path.is_file():
        return [path]
    try:
        found = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()]
    except OSError as error:
        raise CameraError(
            f"{path}: cannot be listed ({error.strerror}); set source.path to a folder"
        ) from error
    if not found:
        kinds = " ".join(sorted(suffix[1:] for suffix in SUFFIXES))
        raise CameraError(f"{path}: holds no image ({kinds}); put some there or set source.path")
    return sorted(found, key=lambda file: natural_key(file.name))


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sorts cell2 before cell10, and is total: names that differ have keys that differ."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if odd % 2 else (-1, part.casefold()) for odd, part in enumerate(parts)], name


def read_image(path: Path) -> Pixels:
    """The picture in a file; transparency is dropped. Raises ImageError."""
    try:
        # From memory, because imread would turn a truncated JPEG into a half grey picture.
        coded = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED) if coded.size else None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check the file") from error
    except cv2.error as error:
        raise ImageError(f"{path}: cannot be decoded ({error.err}); replace or remove the file") from error
    if picture is None:
        raise ImageError(f"{path}: is damaged or not an image; replace or remove the file")
    if picture.dtype != np.uint8:
        raise ImageError(f"{path}: has {picture.dtype} pixels; convert it to 8 bits per channel")
    return from_opencv(cast(Pixels, picture))


def from_opencv(picture: Pixels) -> Pixels:
    """OpenCV's (h, w) or BGR(A) as ours: (h, w, 1) or RGB."""
    if picture.ndim == 2:
        return picture[:, :, np.newaxis]
    if picture.shape[2] == 1:
        return picture
    code = cv2.COLOR_BGRA2RGB if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cast(Pixels, cv2.cvtColor(picture, code))
