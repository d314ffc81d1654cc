"""What a trained student takes from good parts without a gradient: statistics, and what it remembers.

BatchNorm statistics are taken anew from good parts of which a third is spoilt: by those of training, where
most are, a student is blind, and by those of good parts alone it replaces what is good and draws a grid where
it restores (DECISIONS.md). Then the memories are filled, both from the parts that trained. The scales of
the evidence come from held-back ones.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agent.messages import Pixels
from models.data.batches import Tiles, draw_batch, to_images
from models.data.datasets import DataError
from models.parts.features import STRIDES
from models.parts.memory import Memory, neighbourhoods
from models.parts.variation import at_another_exposure
from models.stages import SILENT, Stages
from models.student.lessons import SPOILT_SHARE
from models.student.student import EVIDENCE, FEATURE_STAGES, REMEMBERED_STAGES, Student

BATCH_NORM_BATCHES = 40
BATCH_NORM_SPOILT = SPOILT_SHARE / 2  # of their pictures; training has twice as many
RARE, RARE_AT = 0.001, 3.0  # of good cells this share lies so many spreads above the mean, in each evidence
SPREAD_FLOOR = 0.5  # of a logit or a logarithm: bf16 would fill a finer unit with noise
REMEMBERED_FLOOR = 0.1  # of a memory's, which takes no small difference of large numbers
REMEMBERED_CELLS = 20_000  # about so many good cells make the prototypes
ROUGH_TILES = 8  # show by how much half precision errs


def finish(student: Student, tiles: Tiles, held: Tiles, seed: int, stages: Stages = SILENT) -> None:
    """BatchNorm statistics and memories from the parts that trained, scales of evidence from held-back ones.

    Only the foreground counts, where a product has one: what lies behind it is not what it is judged by.
    Raises DataError for fewer good cells than prototypes, and for held-back parts without any.
    """
    reestimate_batch_norm(student, tiles, seed, stages)
    student.eval()
    remember(student, tiles, seed, stages)
    device = student.mean.device
    places = held.places(student.config.stride).to(device)  # (N, 1, h, w)
    parts = list(zip(held.in_images(16), torch.split(places, 16), strict=True))
    with torch.no_grad():
        measured = stages.over(parts, "measuring held-back good parts")
        sums = [_squares(student, images.to(device), place) for images, place in measured]
        for index, stage in enumerate(FEATURE_STAGES):
            total = torch.stack([found[index][0] for found in sums]).sum(0)
            count = torch.stack([found[index][1] for found in sums]).sum()
            student.usual(stage).copy_((total / count).clamp_min(1e-6))
        scaled = stages.over(parts, "scaling what held-back good parts show")
        evidence = torch.cat([student.evidence(images.to(device))[1] for images, _ in scaled])
    inside = evidence.transpose(0, 1)[:, places[:, 0] > 0]  # (len(EVIDENCE), cells)
    if not inside.shape[1]:
        raise DataError("no held-back good part shows the product; look at `foreground` in product.yaml")
    student.mean.copy_(inside.mean(1))
    floors = [REMEMBERED_FLOOR if name.startswith("memory") else SPREAD_FLOOR for name in EVIDENCE]
    rare = inside.topk(max(1, round(RARE * inside.shape[1])), dim=1).values[:, -1]
    student.spread.copy_(((rare - student.mean) / RARE_AT).maximum(torch.tensor(floors, device=device)))


def remember(student: Student, tiles: Tiles, seed: int, stages: Stages = SILENT) -> None:
    """Fill the student's memories with good tiles, as they are and at another exposure, of their foreground.

    Raises DataError for fewer good cells than prototypes.
    """
    rng = np.random.default_rng(seed)
    places = tiles.places(STRIDES[REMEMBERED_STAGES[-1]])[:, 0] > 0  # (N, h, w)
    cells_a_tile = max(1.0, float(places.sum()) / len(tiles))
    step = max(1, int(len(tiles) * cells_a_tile / REMEMBERED_CELLS))
    chosen = range(0, len(tiles), step)
    with torch.no_grad():
        looks = stages.over(chosen, "remembering good parts")
        exact = _together(_cells(student, tiles.pixels[index], places[index]) for index in looks)
        again = stages.over(chosen, "remembering them at another exposure")
        lit = _together(
            _cells(student, at_another_exposure(tiles.pixels[index], rng), places[index]) for index in again
        )
        some = chosen[:ROUGH_TILES]
        with torch.autocast(student.mean.device.type, torch.bfloat16):
            rough = _together(_cells(student, tiles.pixels[index], places[index]) for index in some)
        for memory, cells, others, errs in zip(student.memories, exact, lit, rough, strict=True):
            assert isinstance(memory, Memory)
            if len(cells) < memory.toward.out_channels:
                raise DataError(
                    f"{len(cells)} places of good parts, {memory.toward.out_channels} have to be remembered: "
                    "more good pictures are needed"
                )
            memory.fit(torch.cat([cells, others]), errs - cells[: len(errs)], rng)


def _together(looks: Iterable[list[Tensor]]) -> list[Tensor]:
    """Of each stage what all looks found."""
    return [torch.cat(some) for some in zip(*looks, strict=True)]


def _cells(student: Student, tile: Pixels, place: Tensor) -> list[Tensor]:
    """A tile's cells (P, c) of the place (h, w), for each stage that is remembered."""
    images = to_images(tile[None]).to(student.mean.device)
    levels = student.look(images)[len(FEATURE_STAGES) :]
    return [neighbourhoods(level)[0][:, place].T.float().cpu() for level in levels]


def reestimate_batch_norm(student: Student, tiles: Tiles, seed: int, stages: Stages = SILENT) -> None:
    """Replace the running statistics by a plain average over good tiles, some of them spoilt."""
    trained = (student.restorer, student.finder)
    norms = [one for net in trained for one in net.modules() if isinstance(one, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
        norm.train()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for _ in stages.over(range(BATCH_NORM_BATCHES), "averaging over parts"):
            batch = draw_batch(tiles, 16, BATCH_NORM_SPOILT, rng, vary=True)
            student.evidence(batch.seen.to(student.mean.device))


def _squares(student: Student, images: Tensor, place: Tensor) -> list[tuple[Tensor, Tensor]]:
    """By stride: each channel's squared distances from the restoration's added up, and how many they are.

    A distance is at least as large as what bf16 makes of equal pictures.
    """
    exact = student.look(images)
    squares = student.differences(exact, student.restore(images, exact).image)
    with torch.autocast(images.device.type, torch.bfloat16):
        rough = student.look(images)
    found = []
    for square, one, other in zip(squares, exact, rough, strict=False):
        inside = F.adaptive_max_pool2d(place, square.shape[-2:])
        noise = 2 * (one - other.float()).square()  # of the input's features and of the restoration's
        sums = [(values * inside).sum((0, 2, 3)) for values in (square, noise)]
        found.append((sums[0].maximum(sums[1]), inside.sum()))
    return found
