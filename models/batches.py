"""Good tiles in memory -> training batches: mirrored, re-exposed, some of them spoilt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agent.bundle import InputSpec
from agent.messages import Pixels
from models.data import Item, good_training, hold_out, load_items, load_tiles
from models.parts.anomalies import spoil
from models.parts.batch import Batch
from models.parts.variation import varied

HOLD_OUT_EVERY = 8  # every 8th run of good parts calibrates and is never trained on


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """Tiles of good parts as the device cuts them, and which product each shows."""

    pixels: Pixels  # (N, tile, tile, C)
    products: npt.NDArray[np.int64]  # (N,), index into the names of the data sets

    def __len__(self) -> int:
        return len(self.pixels)

    def sample(self, count: int) -> Tensor:
        """About `count` tiles, evenly spread, as images."""
        return to_images(self.pixels[:: max(1, len(self) // count)])

    def in_images(self, count: int) -> Iterator[Tensor]:
        """All tiles in order as images, `count` at a time."""
        for start in range(0, len(self), count):
            yield to_images(self.pixels[start : start + count])


def good_items(roots: Sequence[Path]) -> tuple[list[Item], list[Item]]:
    """Good training pictures of all data sets, and those that are held back. Raises DataError."""
    kept: list[Item] = []
    held: list[Item] = []
    for root in roots:
        some, others = hold_out(good_training(load_items(root), root), HOLD_OUT_EVERY)
        kept += some
        held += others
    return kept, held


def as_tiles(items: Sequence[Item], spec: InputSpec) -> Tiles:
    """The tiles of pictures of one or several products. Raises DataError."""
    names = sorted({item.product for item in items})
    pixels, products = [], []
    for index, name in enumerate(names):
        cut = load_tiles([item for item in items if item.product == name], spec)
        pixels.append(cut)
        products.append(np.full(len(cut), index))
    return Tiles(pixels=np.concatenate(pixels), products=np.concatenate(products))


def draw_batch(
    tiles: Tiles, count: int, spoilt_share: float, rng: np.random.Generator, *, vary: bool = False
) -> Batch:
    """`count` augmented good tiles, about `spoilt_share` of them with synthetic defects.

    With `vary` they also differ as parts of another day do.
    """
    chosen = rng.integers(0, len(tiles), count)
    clean = [augmented(tiles.pixels[index], rng) for index in chosen]
    if vary:
        clean = [varied(tile, rng) for tile in clean]
    seen, masks = [], []
    for good in clean:
        picture, mask = good, np.zeros(good.shape[:2], np.bool_)
        if rng.random() < spoilt_share:
            other = augmented(tiles.pixels[rng.integers(0, len(tiles))], rng)
            picture, mask = spoil(good, other, rng)
        seen.append(picture)
        masks.append(mask)
    return Batch(
        clean=to_images(np.stack(clean)),
        seen=to_images(np.stack(seen)),
        mask=torch.from_numpy(np.stack(masks)).float()[:, None],
        products=torch.from_numpy(tiles.products[chosen]),
    )


def augmented(tile: Pixels, rng: np.random.Generator) -> Pixels:
    """Mirrored at random and with the exposure a little off, as lamps and lenses are."""
    if rng.random() < 0.5:
        tile = tile[::-1]
    if rng.random() < 0.5:
        tile = tile[:, ::-1]
    exposed = tile * rng.uniform(0.85, 1.15) + rng.uniform(-12, 12)
    return np.asarray(np.clip(exposed, 0, 255), np.uint8)


def to_images(tiles: Pixels) -> Tensor:
    """uint8 (N, H, W, C) to float (N, C, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(tiles)).permute(0, 3, 1, 2).float() / 127.5 - 1
