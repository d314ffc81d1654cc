"""Good tiles in memory -> training batches: mirrored, re-exposed, some of them spoilt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from agent.bundle.bundle import InputSpec
from agent.messages import Flags, Pixels
from models.data.datasets import Item, load_tiles
from models.data.product import Mirror, Product, load_parts, load_textures, read_product
from models.parts.batch import Batch
from models.parts.defects.anomalies import spoil
from models.parts.variation import moved, relit
from models.stages import SILENT, Stages


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """Tiles of good parts as the device cuts them, and which product each shows."""

    pixels: Pixels  # (N, tile, tile, C)
    products: npt.NDArray[np.int64]  # (N,), index into the names of the data sets
    rules: tuple[Product, ...]  # of each data set
    textures: tuple[tuple[Pixels, ...], ...]  # for its defects
    foreground: Flags | None = None  # (N, tile, tile) where the products are; None: everywhere

    def __len__(self) -> int:
        return len(self.pixels)

    def sample(self, count: int) -> Tensor:
        """About `count` tiles, evenly spread, as images."""
        return to_images(self.thinned(count).pixels)

    def thinned(self, count: int) -> Tiles:
        """About `count` of them, evenly spread."""
        every = slice(None, None, max(1, len(self) // count))
        places = None if self.foreground is None else self.foreground[every]
        return replace(self, pixels=self.pixels[every], products=self.products[every], foreground=places)

    def places(self, stride: int) -> Tensor:
        """1 where a cell of `stride` pixels shows the product, else 0, (N, 1, H / stride, W / stride)."""
        if self.foreground is None:
            height, width = self.pixels.shape[1:3]
            return torch.ones(len(self), 1, height // stride, width // stride)
        return F.max_pool2d(torch.from_numpy(self.foreground).float()[:, None], stride)

    def in_images(self, count: int) -> Iterator[Tensor]:
        """All tiles in order as images, `count` at a time."""
        for start in range(0, len(self), count):
            yield to_images(self.pixels[start : start + count])


def as_tiles(items: Sequence[Item], spec: InputSpec, stages: Stages = SILENT) -> Tiles:
    """The tiles of pictures of one or several products, each with its own rules. Raises DataError."""
    names = sorted({item.product for item in items})
    own = [[item for item in items if item.product == name] for name in names]
    rules = [read_product(some[0].folder) for some in own]
    read = [stages.over(some, f"reading pictures of {name}") for name, some in zip(names, own, strict=True)]
    foreground = None
    if any(rule.foreground != "all" for rule in rules):
        parts = [load_parts(some, spec, rule) for some, rule in zip(read, rules, strict=True)]
        cut = [tiles for tiles, _ in parts]
        foreground = np.concatenate([places for _, places in parts])
    else:
        cut = [load_tiles(some, spec) for some in read]
    return Tiles(
        pixels=np.concatenate(cut),
        products=np.repeat(np.arange(len(cut)), [len(some) for some in cut]),
        rules=tuple(rules),
        textures=tuple(load_textures(rule, spec.channels) for rule in rules),
        foreground=foreground,
    )


def draw_batch(
    tiles: Tiles, count: int, spoilt_share: float, rng: np.random.Generator, *, vary: bool = False
) -> Batch:
    """`count` augmented good tiles, about `spoilt_share` of them with synthetic defects.

    With `vary` they also differ as parts of another day do.
    """
    chosen = rng.integers(0, len(tiles), count)
    clean, seen, masks = [], [], []
    for index in chosen:
        product = tiles.products[index]
        mirrors = tiles.rules[product].mirrors
        flip = random_flip(mirrors, rng)
        good = exposed(tiles.pixels[index][flip], rng)
        place = None if tiles.foreground is None else tiles.foreground[index][flip]
        if vary:
            good, place = moved(good, place, rng)
            good = relit(good, rng)
        picture, mask = good, np.zeros(good.shape[:2], np.bool_)
        if rng.random() < spoilt_share:
            other = exposed(tiles.pixels[rng.integers(0, len(tiles))][random_flip(mirrors, rng)], rng)
            picture, mask = spoil(good, other, rng, foreground=place, textures=tiles.textures[product])
        clean.append(good)
        seen.append(picture)
        masks.append(mask)
    return Batch(
        clean=to_images(np.stack(clean)),
        seen=to_images(np.stack(seen)),
        mask=torch.from_numpy(np.stack(masks)).float()[:, None],
        products=torch.from_numpy(tiles.products[chosen]),
    )


def random_flip(mirrors: Sequence[Mirror], rng: np.random.Generator) -> tuple[slice, slice]:
    """An index that mirrors a tile (H, W, ...) at random, only as its product allows."""
    down = -1 if "vertical" in mirrors and rng.random() < 0.5 else 1
    along = -1 if "horizontal" in mirrors and rng.random() < 0.5 else 1
    return slice(None, None, down), slice(None, None, along)


def exposed(tile: Pixels, rng: np.random.Generator) -> Pixels:
    """The exposure a little off, as lamps and lenses are."""
    return np.asarray(np.clip(tile * rng.uniform(0.85, 1.15) + rng.uniform(-12, 12), 0, 255), np.uint8)


def to_images(tiles: Pixels) -> Tensor:
    """uint8 (N, H, W, C) to float (N, C, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(tiles)).permute(0, 3, 1, 2).float() / 127.5 - 1
