"""What is not whole is never read, whole files read as OpenCV reads them, and nothing else is raised."""

from __future__ import annotations

import random
import struct
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cameras.images import ImageError, from_opencv, read_image, read_stored, size_of
from tests.agent.cameras.formats.coded import WAYS, coded, part

CHECKSUMMED = {"png", "tiff deflate", "tiff deflate_old"}


def read(folder: Path, data: bytes, **limits: float) -> np.ndarray:
    file = folder / "part.bin"
    file.write_bytes(data)
    return read_image(file, **limits)


def opencv(data: bytes) -> np.ndarray:
    return from_opencv(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_whole_file_reads_as_opencv_reads_it(tmp_path: Path, way: str, colour: bool) -> None:
    for height, width in ((120, 90), (1, 1), (17, 33)):
        data = coded(way, part(height, width, colour=colour))
        assert np.array_equal(read(tmp_path, data), opencv(data))


@pytest.mark.parametrize("way", [way for way in WAYS if "tiff" not in way])
def test_what_follows_the_end_of_a_whole_file_is_let_be(tmp_path: Path, way: str) -> None:
    data = coded(way, part(colour=True))
    assert np.array_equal(read(tmp_path, data + b"\0maker's notes" * 99), opencv(data))


@pytest.mark.parametrize("way", [way for way in WAYS if way.startswith("jpeg")])
@pytest.mark.parametrize("colour", [False, True])
def test_zeros_beside_the_coded_data_of_a_jpeg_are_no_damage(tmp_path: Path, way: str, colour: bool) -> None:
    data = coded(way, part(colour=colour))
    thumbnail = coded("jpeg", part(60, 45, colour=colour))
    zeros = bytes(random.Random(way).randrange(60, 4000))
    for marker in (0xE1, 0xE2, 0xFE):
        content = thumbnail + zeros
        segment = struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content
        with_segment = data[:2] + segment + data[2:]
        assert np.array_equal(read(tmp_path, with_segment), opencv(data))
        cut = with_segment[: (len(with_segment) + len(segment)) // 2] + zeros
        with pytest.raises(ImageError, match=r"is damaged \("):
            read(tmp_path, cut)
    assert np.array_equal(read(tmp_path, data + zeros), opencv(data))
    assert np.array_equal(read(tmp_path, data + zeros + data), opencv(data))


@pytest.mark.parametrize("seed", range(20))
def test_a_small_tiff_that_asks_for_much_is_refused_with_little(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    width, height = rng.choice([(14_000, 14_000), (1, 100_000_000), (100_000_000, 1), (9999, 3)])
    tiled, samples, bits = rng.random() < 0.5, rng.choice([1, 3, 200, 65_535]), rng.choice([8, 64, 65_535])
    layout = {322: 1, 323: 1, 324: 0, 325: 1} if tiled else {273: 0, 278: 1, 279: 1}
    tags = {256: width, 257: height, 258: bits, 259: 1, 277: samples, 284: rng.choice([1, 2]), **layout}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    tracemalloc.start()
    try:
        with pytest.raises(ImageError):
            read(tmp_path, data)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_is_cut_anywhere_is_damaged(tmp_path: Path, way: str, colour: bool) -> None:
    data = coded(way, part(colour=colour))
    rng = random.Random(way)
    for kept in [0, 1, 9, len(data) // 2, *(rng.randrange(len(data) - 8) for _ in range(30))]:
        with pytest.raises(ImageError):
            read(tmp_path, data[:kept])


@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"\x55"])
@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("bmp", "tiff none", "tiff packbits")])
def test_blocks_that_were_never_written_are_damage(tmp_path: Path, way: str, filler: bytes) -> None:
    data = coded(way, part(300, 300, colour=False))
    rng = random.Random(way)
    for _ in range(10):
        start = rng.randrange(len(data) // 5, len(data) // 2)
        size = rng.randrange(len(data) // 4, len(data) // 2 - 100)
        with pytest.raises(ImageError, match=r"is damaged \("):
            read(tmp_path, data[:start] + filler * size + data[start + size :])


@pytest.mark.parametrize("way", sorted(CHECKSUMMED))
def test_with_a_checksum_no_change_of_a_pixel_is_overlooked(tmp_path: Path, way: str) -> None:
    data = coded(way, part(colour=True))
    whole, rng = opencv(data), random.Random(way)
    for _ in range(100):
        place = rng.randrange(len(data) - 12)
        changed = bytearray(data)
        changed[place] ^= 1 << rng.randrange(8)
        try:
            assert np.array_equal(read(tmp_path, bytes(changed)), whole)
        except ImageError:
            continue


@pytest.mark.parametrize("way", WAYS)
def test_noise_is_an_image_error_and_nothing_else(tmp_path: Path, way: str) -> None:
    data, rng = coded(way, part(colour=False)), random.Random(way)
    for _ in range(60):
        changed = bytearray(data)
        for _ in range(rng.choice([1, 3, 30])):
            changed[rng.randrange(4, rng.choice([64, len(data)]))] = rng.randrange(256)
        try:
            read(tmp_path, bytes(changed), max_megapixels=1)
        except ImageError:
            continue


def test_an_animation_or_a_file_of_pages_is_refused_with_their_number(tmp_path: Path) -> None:
    pages = [part(colour=False, seed=seed) for seed in range(3)]
    cv2.imwritemulti(str(tmp_path / "pages.tif"), pages)
    with pytest.raises(ImageError, match=r"pages\.tif: holds 3 pictures; save each in a file of its own"):
        read_image(tmp_path / "pages.tif")
    content = struct.pack(">II", 4, 0)
    chunk = struct.pack(">I", 8) + b"acTL" + content + struct.pack(">I", zlib.crc32(b"acTL" + content))
    png = coded("png", pages[0])
    with pytest.raises(ImageError, match="holds 4 pictures"):
        read(tmp_path, png[:33] + chunk + png[33:])


def test_a_compression_that_cannot_be_followed_is_named_with_the_remedy(tmp_path: Path) -> None:
    data = bytearray(coded("tiff none", part(colour=False)))
    (place,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, place)
    for at in range(place + 2, place + 2 + 12 * entries, 12):
        if struct.unpack_from("<H", data, at) == (259,):
            struct.pack_into("<H", data, at + 8, 4)
    with pytest.raises(ImageError, match="compression 4, whose damage cannot be seen; save it with Deflate"):
        read(tmp_path, bytes(data))


def test_the_bound_of_pixels_is_read_from_the_header(tmp_path: Path) -> None:
    for way in WAYS:
        data = coded(way, part(100, 101, colour=False))
        with pytest.raises(ImageError, match=r"101 x 100 pixels are more than 0\.01 megapixels"):
            read(tmp_path, data, max_megapixels=0.01)
        assert read(tmp_path, data, max_megapixels=0.0101).shape == (100, 101, 1)
    bomb = struct.pack(">II", 30_000, 30_000) + bytes([1, 0, 0, 0, 0])
    head = struct.pack(">I", 13) + b"IHDR" + bomb + struct.pack(">I", zlib.crc32(b"IHDR" + bomb))
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    with pytest.raises(ImageError, match="30000 x 30000 pixels are more than 200 megapixels"):
        read(tmp_path, b"\x89PNG\r\n\x1a\n" + head + end)


def test_a_file_too_long_for_its_bound_is_not_even_read(tmp_path: Path) -> None:
    file = tmp_path / "sparse.bmp"
    with file.open("wb") as sparse:
        sparse.truncate(20 << 30)
    with pytest.raises(ImageError, match="bytes are more than 200 megapixels"):
        read_image(file)


@pytest.mark.parametrize("way", WAYS)
def test_the_size_is_known_from_the_header_alone(tmp_path: Path, way: str) -> None:
    file = tmp_path / "part.bin"
    file.write_bytes(coded(way, part(70, 45, colour=True)))
    assert size_of(file) == (45, 70)
    for useless in (b"", b"torn", file.read_bytes()[:7]):
        file.write_bytes(useless)
        with pytest.raises(ImageError, match=r"part\.bin"):
            size_of(file)


def test_deep_samples_are_read_as_stored(tmp_path: Path) -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 900
    for suffix in (".png", ".tif"):
        cv2.imwrite(str(tmp_path / f"deep{suffix}"), deep)
        assert np.array_equal(read_stored(tmp_path / f"deep{suffix}"), deep)


@pytest.mark.parametrize("compression", [1, 2, 4, 5])
def test_a_bmp_of_run_lengths_is_refused(tmp_path: Path, compression: int) -> None:
    data = bytearray(coded("bmp", part(colour=False)))
    data[30:34] = struct.pack("<I", compression)
    with pytest.raises(ImageError, match="save it without compression"):
        read(tmp_path, bytes(data))
