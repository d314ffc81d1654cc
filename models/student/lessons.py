"""What teachers make of pictures: asked for once, on a set of lessons, or anew at each step.

Full inference of a teacher takes many steps, so that a set of lessons, asked for once and kept beside the
run, is what a student of a small budget can afford. A teacher that is asked anew answers about pictures
that nobody has seen, and costs most of the training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.data.batches import Tiles, draw_batch
from models.data.product import Mirror
from models.methods.method import Restoration
from models.parts.batch import Batch
from models.parts.precision import autocast
from models.stages import SILENT, Stages
from models.store import Place
from models.training import checkpoint
from models.training.fit import Draw

SPOILT_SHARE = 0.7
LESSONS = "lessons.pt"
INSPECTED_AT_ONCE = 8


class Inspects(Protocol):
    """What is asked of a teacher."""

    def inspect(self, images: Tensor, rng: torch.Generator, products: Tensor, /) -> Restoration: ...


@dataclass(frozen=True)
class Told:
    """A teacher that is told each product by the number that it knows it by."""

    method: Any
    numbers: Tensor  # (products,)

    def inspect(self, images: Tensor, rng: torch.Generator, products: Tensor) -> Restoration:
        found: Restoration = self.method.inspect(images, rng, self.numbers[products])
        return found

    def to(self, device: torch.device) -> Told:
        return Told(self.method.to(device), self.numbers)


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """Pictures with what the teachers made of them."""

    batch: Batch
    restored: Tensor  # (N, C, H, W), the teachers' mean
    maps: Tensor  # (N, 1, h, w) in 0..1: 0.5 is the strongest evidence that good parts show
    usual: Tensor  # (teachers,): that evidence, by each teacher's own scale

    def drawn(self, count: int, mirrors: Sequence[Mirror], draw: Draw) -> Lessons:
        """`count` of them, all mirrored in the same way."""
        index = torch.from_numpy(draw.numpy.integers(0, len(self.maps), count))
        axes = {"vertical": 2, "horizontal": 3}
        flips = [axes[name] for name in mirrors if draw.numpy.random() < 0.5]
        batch = Batch(
            clean=self.batch.clean[index].flip(flips),
            seen=self.batch.seen[index].flip(flips),
            mask=self.batch.mask[index].flip(flips),
            products=self.batch.products[index],
        )
        return dataclasses.replace(
            self, batch=batch, restored=self.restored[index].flip(flips), maps=self.maps[index].flip(flips)
        )

    def to(self, device: torch.device) -> Lessons:
        return Lessons(
            batch=self.batch.to(device),
            restored=self.restored.to(device),
            maps=self.maps.to(device),
            usual=self.usual,
        )


@dataclass(frozen=True, kw_only=True)
class Anew:
    """Teachers that answer about new pictures at each step, on the scale that they showed in lessons."""

    teachers: Sequence[Inspects]
    tiles: Tiles
    usual: Tensor  # (teachers,)
    stride: int
    device: torch.device

    def drawn(self, count: int, mirrors: Sequence[Mirror], draw: Draw) -> Lessons:
        """`count` new pictures, mirrored as `draw_batch` does, with what the teachers make of them."""
        batch = draw_batch(self.tiles, count, SPOILT_SHARE, draw.numpy, vary=True)
        seed = int(draw.numpy.integers(2**31))
        return answered(self.teachers, batch, self.stride, seed, self.device, usual=self.usual)


def ask(
    teachers: Sequence[Inspects],
    tiles: Tiles,
    count: int,
    stride: int,
    seed: int,
    device: torch.device,
    stages: Stages = SILENT,
    *,
    shard: int = 0,
) -> Lessons:
    """`count` pictures, most of them spoilt, and the mean of what the teachers make of them."""
    rng = np.random.default_rng((seed, shard))  # of shard 0 as of the seed alone
    batch = draw_batch(tiles, count, SPOILT_SHARE, rng, vary=True)
    while batch.spoilt.all():  # a good one at least says what usual is
        batch = draw_batch(tiles, count, SPOILT_SHARE, rng, vary=True)
    return answered(teachers, batch, stride, seed, device, stages=stages)


def answered(
    teachers: Sequence[Inspects],
    batch: Batch,
    stride: int,
    seed: int,
    device: torch.device,
    *,
    usual: Tensor | None = None,
    stages: Stages = SILENT,
) -> Lessons:
    """What the teachers make of a batch; without `usual` it comes from the good pictures in it."""
    restored, maps, levels = torch.zeros_like(batch.seen), torch.zeros_like(batch.mask), []
    for number, teacher in enumerate(teachers):
        name = f"asking teacher {number + 1} of {len(teachers)} about {len(batch.seen)} pictures"
        images, found = _inspected(teacher, batch, seed, device, stages, name)
        if usual is None:
            good = found[~batch.spoilt].flatten()
            level = torch.quantile(good[:: max(1, found.numel() // 2_000_000)], 0.999)
        else:
            level = usual[number]
        restored += images / len(teachers)
        maps += (found / (2 * level.clamp_min(1e-6))).clamp(0, 1) / len(teachers)
        levels.append(level)
    return Lessons(batch=batch, restored=restored, maps=F.max_pool2d(maps, stride), usual=torch.stack(levels))


def lessons_file(shard: int, shards: int) -> str:
    """Where the lessons of one shard of a batch lie."""
    return LESSONS if shards == 1 else f"lessons-{shard}-of-{shards}.pt"


def keep(lessons: Lessons, path: Place) -> Lessons:
    """Put lessons at `path`, restorations in half precision; as they are read again."""
    batch = {field.name: getattr(lessons.batch, field.name) for field in dataclasses.fields(Batch)}
    restored = lessons.restored.half()
    checkpoint.save(
        path, {"batch": batch, "restored": restored, "maps": lessons.maps, "usual": lessons.usual}
    )
    return dataclasses.replace(lessons, restored=restored.float())


def kept(path: Place) -> Lessons | None:
    """Lessons that `keep` has put there, None where there are none."""
    content = checkpoint.load(path)
    if content is None:
        return None
    return Lessons(
        batch=Batch(**content["batch"]),
        restored=content["restored"].float(),
        maps=content["maps"],
        usual=content["usual"],
    )


def _inspected(
    teacher: Inspects, batch: Batch, seed: int, device: torch.device, stages: Stages, name: str
) -> tuple[Tensor, Tensor]:
    """The teacher's restorations (N, C, H, W) and maps (N, 1, H, W) of what is seen."""
    images, maps = [], []
    for start in stages.over(range(0, len(batch.seen), INSPECTED_AT_ONCE), name):
        part = slice(start, start + INSPECTED_AT_ONCE)
        with autocast(device):
            found = teacher.inspect(
                batch.seen[part].to(device), torch.Generator().manual_seed(seed), batch.products[part]
            )
        images.append(found.image.float().cpu())
        maps.append(found.map.float().cpu())
    return torch.cat(images), torch.cat(maps)
