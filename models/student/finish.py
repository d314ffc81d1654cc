"""What a trained student takes from good parts without a gradient.

BatchNorm statistics, which training takes from spoilt pictures, are taken anew from good parts before
anything is judged; the scales of the evidence come from held-back ones.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.data.batches import Tiles, draw_batch
from models.stages import SILENT, Stages
from models.student.student import FEATURE_STAGES, Student

BATCH_NORM_BATCHES = 40
SPREAD_FLOOR = 0.5  # of a logit or a logarithm: bf16 would fill a finer unit with noise


def finish(student: Student, tiles: Tiles, held: Tiles, seed: int, stages: Stages = SILENT) -> None:
    """BatchNorm statistics from good parts, then the scales of the evidence from held-back good parts.

    Only the foreground counts, where a product has one: what lies behind it is not what it is judged by.
    """
    reestimate_batch_norm(student, tiles, seed, stages)
    student.eval()
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
    student.mean.copy_(inside.mean(1))
    student.spread.copy_(inside.std(1).clamp_min(SPREAD_FLOOR))


def reestimate_batch_norm(student: Student, tiles: Tiles, seed: int, stages: Stages = SILENT) -> None:
    """Replace the running statistics by a plain average over good tiles."""
    trained = (student.restorer, student.finder)
    norms = [one for net in trained for one in net.modules() if isinstance(one, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
        norm.train()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for _ in stages.over(range(BATCH_NORM_BATCHES), "averaging over good parts"):
            good = draw_batch(tiles, 16, 0.0, rng, vary=True)
            student.evidence(good.clean.to(student.mean.device))


def _squares(student: Student, images: Tensor, place: Tensor) -> list[tuple[Tensor, Tensor]]:
    """By stride: each channel's squared distances from the restoration's added up, and how many they are.

    A distance is at least as large as what bf16 makes of equal pictures.
    """
    restored = student.restore(images)[2]
    exact, squares = student.differences(images, restored)
    with torch.autocast(images.device.type, torch.bfloat16):
        rough, _ = student.differences(images, restored)
    found = []
    for square, one, other in zip(squares, exact, rough, strict=True):
        inside = F.adaptive_max_pool2d(place, square.shape[-2:])
        noise = 2 * (one - other.float()).square()  # of the input's features and of the restoration's
        sums = [(values * inside).sum((0, 2, 3)) for values in (square, noise)]
        found.append((sums[0].maximum(sums[1]), inside.sum()))
    return found
