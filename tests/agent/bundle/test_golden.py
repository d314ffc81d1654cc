"""Golden arrays are plain numbers of the manifest's shape, or one line says what they are instead."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bundle.golden import MAX_TILES, GoldenError, read_scores, read_tiles
from tests.agent.engines.small_bundle import scores_of, small_tiles

TILES = small_tiles()
SCORES = scores_of(TILES)


def npy(array: object, *, version: tuple[int, int] | None = None) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asanyarray(array), version=version)
    return buffer.getvalue()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@given(st.integers(1, 4))
def test_what_numpy_writes_is_read_as_numpy_reads_it(version: tuple[int, int], count: int) -> None:
    tiles, scores = TILES[:count], SCORES[:count]
    assert np.array_equal(read_tiles(npy(tiles, version=version), tile_px=32, channels=1), tiles)
    found = read_scores(npy(scores, version=version), tiles=count, threshold=0.5)
    assert np.array_equal(found, scores) and found.flags.writeable


STRANGE = {
    "empty": b"",
    "text": b"0.1 0.2",
    "pickle": pickle.dumps(SCORES),
    "zip": b"PK\x03\x04",
    "objects": npy(np.array([{}, None], object)),
    "records": npy(np.zeros(5, [("a", "f4")])),
    "words": npy(np.array(["a"] * 5)),
    "no tile": npy(np.zeros((0, 32, 32, 1), np.uint8)),
    "no score": npy(np.zeros(0, np.float32)),
    "one number": npy(np.float32(1)),
    "other size": npy(np.zeros((5, 32, 31, 1), np.uint8)),
    "other channels": npy(np.zeros((5, 32, 32, 3), np.uint8)),
    "other dimensions": npy(np.zeros((5, 32, 32), np.uint8)),
    "doubles": npy(np.zeros(5, np.float64)),
    "big endian": npy(np.zeros(5, ">f4")),
    "fortran": npy(np.asfortranarray(TILES)),
    "more tiles": npy(np.zeros((MAX_TILES + 1, 32, 32, 1), np.uint8)),
    "cut": npy(TILES)[:-1],
    "more": npy(TILES) + b"x",
    "header cut": npy(TILES)[:60],
    "huge": header("{'descr': '|u1', 'fortran_order': False, 'shape': (999999999, 32, 32, 1), }\n"),
    "code": header("{'descr': __import__('os').abort(), 'fortran_order': False, 'shape': (1,), }\n"),
    "deep": header("(" * 9000),
    "negative": header("{'descr': '<f4', 'fortran_order': False, 'shape': (-5,), }\n"),
    "zeros": npy(np.zeros(5, np.float32)),
    "one is missing": npy(SCORES[:4]),
    "not a number": npy(SCORES * np.float32(np.nan)),
    "endless": npy(np.where(np.arange(5) == 4, np.float32(np.inf), SCORES)),
    "below zero": npy(-SCORES),
    "far below the threshold": npy(SCORES / np.float32(1000)),
}


@pytest.mark.parametrize("name", STRANGE)
def test_anything_else_is_refused_in_one_line(name: str) -> None:
    for read in (
        lambda data: read_tiles(data, tile_px=32, channels=1),
        lambda data: read_scores(data, tiles=5, threshold=0.5),
    ):
        with pytest.raises(GoldenError) as caught:
            read(STRANGE[name])
        assert str(caught.value).isprintable()


@given(st.integers(0, 127), st.integers(1, 255))
def test_no_changed_byte_of_the_header_gives_another_array(place: int, change: int) -> None:
    data = bytearray(npy(TILES))
    data[place] ^= change
    try:
        found = read_tiles(bytes(data), tile_px=32, channels=1)
    except GoldenError:
        return
    assert np.array_equal(found, TILES)
