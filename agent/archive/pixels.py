"""Pixels to bytes and back without a loss, and pictures that are only looked at to JPEG.

PNG by OpenCV's fast way (differences to the left, run lengths, Huffman): of all that this machine has without
another dependency nothing is faster at a useful size, and every program opens it; see
`tests/benchmarks/bench_archive_codecs.py`.
"""

from __future__ import annotations

import math
from typing import TypeAlias, cast

import cv2
import numpy as np
import numpy.typing as npt

from agent.messages import Floats, Pixels, Samples

PNG = [
    cv2.IMWRITE_PNG_FILTER,
    cv2.IMWRITE_PNG_FILTER_SUB,
    cv2.IMWRITE_PNG_STRATEGY,
    cv2.IMWRITE_PNG_STRATEGY_RLE,
]

# Half a grey level off, for a third of a PNG's bytes (`tests/benchmarks/bench_archive_codecs.py`).
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]
JPEG_MAGIC = b"\xff\xd8\xff"

Halves: TypeAlias = npt.NDArray[np.float16]


def is_picture(image: Samples) -> bool:
    """Whether it can be kept: mono or RGB of 8 or 16 bits, and not empty."""
    return (
        image.ndim == 3
        and image.dtype in (np.uint8, np.uint16)
        and image.shape[2] in (1, 3)
        and 0 not in image.shape
    )


def to_png(image: Samples) -> bytes:
    """(lines, width, 1 or 3), 8 or 16 bits."""
    ordered = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.shape[2] == 3 else np.ascontiguousarray(image)
    done, data = cv2.imencode(".png", ordered, PNG)
    if not done:
        raise ValueError(f"PNG: an image of shape {image.shape} and type {image.dtype} cannot be encoded")
    return data.tobytes()


def to_jpeg(image: Pixels) -> bytes:
    """(lines, width, 1 or 3), 8 bits."""
    ordered = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.shape[2] == 3 else np.ascontiguousarray(image)
    done, data = cv2.imencode(".jpg", ordered, JPEG)
    if not done:
        raise ValueError(f"JPEG: an image of shape {image.shape} cannot be encoded")
    return data.tobytes()


def of_png(data: bytes) -> Samples:
    """What `to_png` was given; raises ValueError for what is no such picture."""
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(error.err) from error
    if decoded is None:
        raise ValueError("it does not decode")
    if decoded.ndim == 2:
        return cast(Samples, decoded[..., None])
    return cast(Samples, cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


def to_halves(evidence: Floats) -> tuple[Halves, int]:
    """A map in float16, and the power of two to multiply it by: its strongest value lies in 1 to 2.

    Scores of any scale so keep their 11 bits; what is not a number stays what it is.
    """
    finite = np.abs(evidence[np.isfinite(evidence)])
    strongest = float(finite.max()) if finite.size else 0.0
    exponent = math.frexp(strongest)[1] - 1 if strongest else 0
    return np.ldexp(evidence, -exponent).astype(np.float16), exponent


def of_halves(halves: Halves, exponent: int) -> Floats:
    return np.ldexp(halves.astype(np.float32), exponent)


def halves_to_png(halves: Halves) -> bytes:
    """Their 16 bits as grey values: neighbours have nearly the same ones."""
    return to_png(np.ascontiguousarray(halves).view(np.uint16)[..., None])


def halves_of_png(data: bytes) -> Halves:
    """Raises ValueError for what `halves_to_png` did not make."""
    grey = of_png(data)
    if grey.dtype != np.uint16 or grey.shape[2] != 1:
        raise ValueError(f"a map of shape {grey.shape} and type {grey.dtype} is not one of 16 bits")
    return np.ascontiguousarray(grey[..., 0]).view(np.float16)
