"""How long and how fast each method trains, in training pictures: one table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, kw_only=True)
class Plan:
    """AdamW with warm-up and cosine decay; counted in pictures, so a batch size changes no budget.

    The cosine reaches 0 after `horizon` runs: at the end of one, later, or, where it is infinite, never.
    """

    images: int  # training pictures shown in all
    batch: int = 8
    shards: int = 1  # parts of a batch with pictures, randomness and gradient of their own
    rate: float = 4e-4
    rates: Mapping[str, float] = field(default_factory=dict)  # by the start of a parameter's name
    weight_decay: float = 1e-4
    warm_up: float = 0.03  # share of the run
    horizon: float = 1.0
    ema: float = 0.998
    clip: float = 1.0  # gradient norm
    seed: int = 0
    checkpoint_every: int = 100  # steps

    @property
    def steps(self) -> int:
        return max(1, math.ceil(self.images / self.batch))

    def sized(self, images: int | None, seed: int, shards: int | None = None) -> Plan:
        """The plan of one run: with its seed, and with another budget and shards where they are given."""
        return replace(self, images=images or self.images, seed=seed, shards=shards or self.shards)

    def decay(self, step: int) -> float:
        """The share of the rate at a step."""
        warm = max(1, round(self.warm_up * self.steps))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.horizon * self.steps - warm)))


NANO = Plan(images=256, batch=8, shards=2, rate=1e-3)
EDGE = Plan(images=24_000, batch=8)

# The published configurations: pictures, batch, rates, their course (what differs: each method's file).
TEACHERS: dict[tuple[str, str], Plan] = {
    ("decodiff", "nano"): NANO,
    ("decodiff", "edge"): EDGE,
    ("decodiff", "paper"): Plan(
        images=3267 * 800,
        batch=128,
        shards=2,
        rate=1e-4,
        warm_up=10 / 800,
        horizon=1.5,
        ema=0.0,
        clip=math.inf,
    ),
    ("diffusionad", "nano"): NANO,
    ("diffusionad", "edge"): EDGE,
    ("diffusionad", "paper"): Plan(
        images=242 * 3000,  # pictures of an average product
        batch=16,
        rate=1e-4,
        rates={"segmenter": 1e-5},
        weight_decay=0.0,
        warm_up=0.0,
        horizon=math.inf,
        ema=0.0,
        clip=math.inf,
    ),
    ("glad", "nano"): NANO,
    ("glad", "edge"): EDGE,
    ("glad", "paper"): Plan(
        images=32 * 4000, batch=32, rate=5e-6, weight_decay=0.01, warm_up=0.0, horizon=math.inf, ema=0.0
    ),
    ("diad", "nano"): NANO,
    ("diad", "edge"): EDGE,
    ("diad", "paper"): Plan(
        images=3629 * 1000,
        batch=48,
        shards=4,
        rate=1e-5,
        weight_decay=0.01,
        warm_up=0.0,
        horizon=math.inf,
        ema=0.0,
        clip=math.inf,
    ),
}

STUDENTS: dict[str, Plan] = {
    "nano": Plan(images=384, batch=8, rate=2e-3),
    "edge": Plan(images=24_000, batch=8, rate=1e-3),
    "paper": Plan(images=400_000, batch=32, rate=1e-3),
}

TILE_PX: dict[tuple[str, str], int] = {("glad", "paper"): 512}  # others: by preset
TILE_PX_OF_PRESET: dict[str, int] = {"nano": 64, "edge": 256, "paper": 256}


def tile_px(method: str, preset: str) -> int:
    return TILE_PX.get((method, preset), TILE_PX_OF_PRESET[preset])
