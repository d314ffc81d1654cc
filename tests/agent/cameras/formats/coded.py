"""One part with a dark bar, coded in every way that is read."""

from __future__ import annotations

import cv2
import numpy as np

TIFF = {"none": 1, "lzw": 5, "deflate": 8, "deflate_old": 32946, "packbits": 32773}
WAYS: dict[str, tuple[str, list[int]]] = {
    "jpeg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
    "jpeg restart markers": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_RST_INTERVAL, 8]),
    "jpeg progressive": (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "jpeg optimized": (".jpg", [cv2.IMWRITE_JPEG_OPTIMIZE, 1]),
    "png": (".png", []),
    "bmp": (".bmp", []),
    **{f"tiff {name}": (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, code]) for name, code in TIFF.items()},
    "tiff jpeg": (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 7, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 16]),
    "tiff many strips": (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 5, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 7]),
}


def part(height: int = 120, width: int = 90, *, colour: bool, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.integers(0, 255, (height, width, 3), dtype=np.uint8), (5, 5), 0)
    picture = (160 + grain // 3).astype(np.uint8)
    picture[height * 2 // 3 : height * 3 // 4, width // 6 : -width // 6] = 20
    return picture if colour else np.ascontiguousarray(picture[:, :, 0])


def coded(way: str, picture: np.ndarray) -> bytes:
    suffix, options = WAYS[way]
    done, data = cv2.imencode(suffix, picture, options)
    assert done
    return bytes(data)
