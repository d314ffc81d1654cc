"""Label sets and features of made-up defects: each class is a direction, and noise."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np

from agent.labels.learn import Learned, Sample, learn
from agent.messages import Floats, Pixels

SHA256 = "ab" * 32  # of the bundle that the recipes of the line's tests name
CHANNELS = 8


def vector(label: int, rng: np.random.Generator, *, noise: float = 0.1) -> Floats:
    """(2 CHANNELS,), near the direction of a class."""
    parts = []
    for shift in (0, 3):
        direction = np.zeros(CHANNELS)
        direction[(label + shift) % CHANNELS] = 1
        one = direction + noise * rng.normal(size=CHANNELS)
        parts.append(one / np.linalg.norm(one))
    return np.concatenate(parts).astype(np.float32)


def samples(counts: dict[str, int], *, seed: int = 0, noise: float = 0.1) -> list[Sample]:
    rng = np.random.default_rng(seed)
    return [
        Sample(label=label, source=f"{label}-{number}", vector=vector(index, rng, noise=noise))
        for index, (label, count) in enumerate(counts.items())
        for number in range(count)
    ]


def learned(counts: dict[str, int], *, bundle_sha256: str = SHA256, noise: float = 0.1) -> Learned:
    return learn(samples(counts, noise=noise), recipe="default", bundle="cells", bundle_sha256=bundle_sha256)


@dataclass(slots=True)
class FakeFeatures:
    """A tile's features by how its left and its right side are lit; waits at `gate` while that is closed."""

    grid: int = 8
    coarsest: int = CHANNELS
    failures: list[Exception] = field(default_factory=list)
    gain: float = 1.0
    gate: threading.Event | None = None
    tiles: int = 0

    def of(self, tile: Pixels) -> Floats:
        self.tiles += 1
        if self.failures:
            raise self.failures.pop(0)
        if self.gate is not None:
            assert self.gate.wait(30)
        cells = tile[::4, ::4, 0].astype(np.float32) / 255  # (g, g)
        channels = [cells * np.float32(np.cos(one)) + np.float32(np.sin(one)) for one in range(CHANNELS)]
        return np.stack(channels) * np.float32(self.gain)
