"""Encode, decode and size of the lossless codecs that need no other dependency, on judged frames.

`python -m tests.benchmarks.bench_archive_codecs` prints a table for solar cells of 300 x 300 px, a web of
4096 x 1024 px as the simulated line camera shows it, the same with a sensor's noise, real fabric of that
size where ../shared/data has it, and 12 bit versions; then of restorations, which are kept as JPEG. One
thread, best of some rounds; sizes in percent of the raw pixels.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from agent.archive import pixels
from agent.bundle.bundle import open_bundle
from agent.cameras.images import read_image
from agent.demo.cells import load_cells
from agent.engines.open import open_engine
from agent.line.prepare import cut_tiles, scaled
from agent.messages import Pixels, Samples
from agent.settings import settings
from tests.agent.track.strips import AITEX
from tests.benchmarks.bench_web import processor

BUNDLE = Path("models/bundles/elpv")
ROUNDS = 3
HEIGHT, WIDTH = 1024, 4096
NOISE_8, NOISE_12 = 3.0, 16.0  # grey values, one sigma

Decode = Callable[[bytes, Samples], Samples]


@dataclass(frozen=True, kw_only=True)
class Codec:
    """`encode` gives nothing for what it cannot take."""

    encode: Callable[[Samples], bytes]
    decode: Decode


def by_opencv(suffix: str, *options: int, depths: tuple[type, ...] = (np.uint8, np.uint16)) -> Codec:
    def encode(image: Samples) -> bytes:
        return cv2.imencode(suffix, image, options)[1].tobytes() if image.dtype in depths else b""

    def decode(data: bytes, like: Samples) -> Samples:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert found is not None
        if found.ndim == 3 and like.shape[2] == 1:  # WebP knows no mono
            found = np.ascontiguousarray(found[..., :1])
        return np.asarray(found).reshape(like.shape)

    return Codec(encode=encode, decode=decode)


def png(strategy: int, filter_: int) -> Codec:
    return by_opencv(".png", cv2.IMWRITE_PNG_STRATEGY, strategy, cv2.IMWRITE_PNG_FILTER, filter_)


def by_zlib(strategy: int, *, rows: bool) -> Codec:
    """Level 1 on raw bytes or on differences to the row above, made with numpy."""

    def encode(image: Samples) -> bytes:
        left = np.diff(image, axis=0, prepend=np.zeros_like(image[:1])) if rows else image
        packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, strategy)
        return packer.compress(np.ascontiguousarray(left).data) + packer.flush()

    def decode(data: bytes, like: Samples) -> Samples:
        left = np.frombuffer(zlib.decompress(data), like.dtype).reshape(like.shape)
        return np.cumsum(left, axis=0, dtype=like.dtype) if rows else left

    return Codec(encode=encode, decode=decode)


def as_kept() -> Codec:
    return Codec(encode=pixels.to_png, decode=lambda data, _: pixels.of_png(data))


CODECS: dict[str, Codec] = {
    "PNG as kept": as_kept(),
    "PNG level 1": by_opencv(".png", cv2.IMWRITE_PNG_COMPRESSION, 1),
    "PNG level 3": by_opencv(".png", cv2.IMWRITE_PNG_COMPRESSION, 3),
    "PNG level 6": by_opencv(".png", cv2.IMWRITE_PNG_COMPRESSION, 6),
    "PNG rle, paeth": png(cv2.IMWRITE_PNG_STRATEGY_RLE, cv2.IMWRITE_PNG_FILTER_PAETH),
    "PNG rle, up": png(cv2.IMWRITE_PNG_STRATEGY_RLE, cv2.IMWRITE_PNG_FILTER_UP),
    "PNG huffman, up": png(cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY, cv2.IMWRITE_PNG_FILTER_UP),
    "PNG huffman, all": png(cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY, cv2.IMWRITE_PNG_ALL_FILTERS),
    "TIFF LZW": by_opencv(".tiff", cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_LZW),
    "TIFF deflate": by_opencv(
        ".tiff", cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE
    ),
    "WebP lossless": by_opencv(".webp", cv2.IMWRITE_WEBP_QUALITY, 101, depths=(np.uint8,)),
    "JPEG 2000": by_opencv(".jp2", cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000),
    "zlib 1": by_zlib(zlib.Z_DEFAULT_STRATEGY, rows=False),
    "rows, zlib 1": by_zlib(zlib.Z_DEFAULT_STRATEGY, rows=True),
    "rows, zlib huffman": by_zlib(zlib.Z_HUFFMAN_ONLY, rows=True),
}


def main() -> None:
    cv2.setNumThreads(1)
    print(f"{processor()}, one thread, NumPy {np.__version__}, OpenCV {cv2.__version__}")
    for name, images in pictures().items():
        raw = sum(image.nbytes for image in images)
        print(f"\n{name}: {len(images)} of {images[0].shape[1]} x {images[0].shape[0]} px, {images[0].dtype}")
        print(f"{'codec':<20}{'encode ms':>10}{'decode ms':>10}{'size %':>8}{'MB/s in':>9}")
        for codec_name, codec in CODECS.items():
            encoded = [codec.encode(image) for image in images]
            if not encoded[0]:
                print(f"{codec_name:<20}{'takes no 16 bits':>37}")
                continue
            decoded = [codec.decode(data, image) for data, image in zip(encoded, images, strict=True)]
            assert all(np.array_equal(*pair) for pair in zip(decoded, images, strict=True)), codec_name
            encode_s = best_s(codec.encode, images)
            decode_s = best_s(codec.decode, encoded, images)
            print(
                f"{codec_name:<20}{1e3 * encode_s / len(images):>10.2f}{1e3 * decode_s / len(images):>10.2f}"
                f"{100 * sum(map(len, encoded)) / raw:>8.1f}{raw / encode_s / 1e6:>9.0f}"
            )
    print(f"\n{'restorations of solar cells':<28}{'encode ms':>10}{'bytes':>8}{'grey levels off':>17}")
    restored = restorations()
    for name, encode in {"JPEG as kept": pixels.to_jpeg, "PNG as kept": pixels.to_png}.items():
        encoded = [encode(image) for image in restored]
        decoded = [pixels.of_png(data).astype(int) for data in encoded]
        off = np.mean([np.abs(a - b).mean() for a, b in zip(decoded, restored, strict=True)])
        encode_ms = 1e3 * best_s(encode, restored) / len(restored)
        size = sum(map(len, encoded)) / len(encoded)
        print(f"{name:<28}{encode_ms:>10.2f}{size:>8.0f}{off:>17.2f}")


def restorations() -> list[Pixels]:
    """Of solar cells, by the sample bundle."""
    bundle = open_bundle(BUNDLE)
    engine = open_engine(bundle, settings.Engine(kind="openvino", precision="f32"))
    found = []
    for path in [cell.image for cell in load_cells()][::110]:
        tiles, _ = cut_tiles(scaled(read_image(path), bundle.manifest.input), bundle.manifest.input)
        answer = engine.run(tiles)
        assert answer.restored is not None
        found.append(answer.restored[0])
    return found


def pictures() -> dict[str, list[Samples]]:
    rng = np.random.default_rng(0)
    files = [cell.image for cell in load_cells()]
    cells = [read_image(path) for path in files[::110]]
    columns = [np.vstack([read_image(path) for path in files[at : at + 4]]) for at in range(0, 56, 4)]
    web = np.ascontiguousarray(np.hstack(columns)[:HEIGHT, :WIDTH])
    found = {
        "solar cells": cells,
        "simulated web": [web],
        "simulated web with noise": [noisy(web, NOISE_8, 8, rng)],
        "solar cells, 12 bits": [noisy(cell, NOISE_12 / 2, 12, rng) for cell in cells],
        "simulated web with noise, 12 bits": [noisy(web, NOISE_12, 12, rng)],
    }
    if AITEX.exists():
        strips = [read_image(path) for path in sorted(AITEX.glob("test/*/*.png"))[:16]]
        found["fabric"] = [np.vstack(strips[at : at + 4]) for at in range(0, 16, 4)]
    return found


def noisy(image: Samples, sigma: float, bits: int, rng: np.random.Generator) -> Samples:
    full = (1 << bits) - 1
    values = np.asarray(image, np.float32) * (full / 255) + rng.normal(0, sigma, image.shape)
    return np.clip(np.rint(values), 0, full).astype(np.uint8 if bits == 8 else np.uint16)


def best_s(work: Callable[..., object], *arguments: Sequence[object]) -> float:
    """For all of them, one after the other."""
    found = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for one in zip(*arguments, strict=True):
            work(*one)
        found.append(time.perf_counter() - started)
    return min(found)


if __name__ == "__main__":
    main()
