"""A made-up data set in MVTec-AD layout: woven texture, and scratches whose masks are known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from agent.messages import Flags, Pixels
from models.data.batches import Tiles
from models.data.product import Product

HEIGHT, WIDTH = 80, 96  # the shorter side fills a tile, so a picture has two tiles that overlap
GOOD_TRAINING = 24
GOOD_TEST = DEFECTIVE_TEST = 6


def write_tiny(root: Path, *, seed: int = 0) -> Path:
    """The same files for the same seed: train/good, test/good, test/scratch and its masks."""
    rng = np.random.default_rng(seed)
    for index in range(GOOD_TRAINING):
        _write(root / "train" / "good" / f"{index:03}.png", woven(rng))
    for index in range(GOOD_TEST):
        _write(root / "test" / "good" / f"{index:03}.png", woven(rng))
    for index in range(DEFECTIVE_TEST):
        picture, mask = scratched(woven(rng), rng)
        _write(root / "test" / "scratch" / f"{index:03}.png", picture)
        _write(
            root / "ground_truth" / "scratch" / f"{index:03}_mask.png", mask.astype(np.uint8)[..., None] * 255
        )
    return root


def woven(rng: np.random.Generator) -> Pixels:
    """A regular weave under uneven light, with grain."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    weave = 25 * np.sin(x / 2.5 + rng.uniform(0, 6)) * np.sin(y / 2.5 + rng.uniform(0, 6))
    light = 120 + 20 * np.cos(x / WIDTH + rng.uniform(0, 6))
    picture = light + weave + rng.normal(0, 4, (HEIGHT, WIDTH))
    return np.clip(picture, 0, 255).astype(np.uint8)[..., None]


def as_tiles(pixels: Pixels) -> Tiles:
    """Tiles (N, H, W, C) of one product without rules of its own."""
    return Tiles(pixels=pixels, products=np.zeros(len(pixels), np.int64), rules=(Product(),), textures=((),))


def scratched(picture: Pixels, rng: np.random.Generator) -> tuple[Pixels, Flags]:
    """A dark line somewhere across, and exactly where it is."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    ends = rng.integers((0, 0), (WIDTH // 2, HEIGHT)), rng.integers((WIDTH // 2, 0), (WIDTH, HEIGHT))
    cv2.line(mask, tuple(map(int, ends[0])), tuple(map(int, ends[1])), 1, 3)
    return np.where(mask[..., None] > 0, np.uint8(15), picture), mask > 0


def _write(path: Path, picture: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
