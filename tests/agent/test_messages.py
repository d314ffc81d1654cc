"""What a frame says of itself."""

from __future__ import annotations

import hashlib

import numpy as np

from tests.fakes import frame


def test_the_digest_of_a_frame_is_of_its_pixels_row_by_row_with_the_lower_byte_first() -> None:
    deep = np.array([[[0x0102], [0x0304]]], np.uint16)
    for image in (deep, deep.astype(">u2")):
        assert frame(1, image).digest() == hashlib.sha256(b"\x02\x01\x04\x03").hexdigest()
    colour = np.asfortranarray(np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8))
    for image in (colour, colour[::2, 1:]):
        assert frame(1, image).digest() == hashlib.sha256(image.tobytes("C")).hexdigest()
