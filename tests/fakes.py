"""Honest fakes: they keep the promises of the protocols they stand for, and insist on their callers'."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

import cv2
import numpy as np

from agent.bundle.bundle import InputSpec
from agent.engines.batches import by_batches
from agent.engines.engine import BATCHES, Answer, Description
from agent.messages import Floats, Frame, FrameFault, Pixels

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
STRIDE_PX = 4


def spec(*, tile_px: int = 32, overlap_px: int = 4, scale: float = 1.0) -> InputSpec:
    """What the fake engine takes: mono tiles."""
    return InputSpec(channels=1, tile_px=tile_px, overlap_px=overlap_px, scale=scale)


@dataclass(slots=True)
class FakeEngine:
    """Sees a defect wherever a tile is bright: a cell's evidence is its mean grey value over 255.

    The score is the strongest cell, the restoration is black. `failures` are raised by the next runs.
    """

    tile_px: int = 32
    failures: deque[Exception] = field(default_factory=deque)
    batches: list[int] = field(default_factory=list)
    closed: bool = False
    name: str = "fake-f32"
    precision: str = "f32"

    def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
        assert not self.closed
        assert tiles.dtype == np.uint8 and tiles.shape[1:] == (self.tile_px, self.tile_px, 1)

        def run_batch(batch: Pixels) -> Answer:
            assert len(batch) in BATCHES
            self.batches.append(len(batch))
            if self.failures:
                raise self.failures.popleft()
            maps = np.stack([evidence_of(tile) for tile in batch])
            return Answer(
                scores=maps.max(axis=(1, 2)),
                maps=maps,
                restored=np.zeros_like(batch) if restored else None,
                engine=self.name,
            )

        return by_batches(run_batch, tiles)

    def describe(self) -> Description:
        return Description(name=self.name, runtime="fake 1", device="none", precision=self.precision)

    def close(self) -> None:
        self.closed = True


def evidence_of(tile: Pixels) -> Floats:
    """(h, w) from (H, W, 1): the mean of each STRIDE_PX square, over 255."""
    cells = (tile.shape[1] // STRIDE_PX, tile.shape[0] // STRIDE_PX)
    grey = np.asarray(tile[..., 0], np.float32) / np.float32(255)
    return np.asarray(cv2.resize(grey, cells, interpolation=cv2.INTER_AREA), np.float32)


def good_picture(height: int = 32, width: int = 32) -> Pixels:
    """Dark everywhere: the fake engine finds nothing."""
    return np.full((height, width, 1), 20, np.uint8)


def bad_picture(
    height: int = 32, width: int = 32, spots: Sequence[tuple[int, int, int, int]] = ((8, 12, 8, 4),)
) -> Pixels:
    """Dark with white spots at x, y, width, height."""
    picture = good_picture(height, width)
    for x, y, wide, high in spots:
        picture[y : y + high, x : x + wide] = 255
    return picture


def frame(frame_id: int, image: Pixels, *, camera: str = "top", captured_ns: int = 0) -> Frame:
    return Frame(
        camera=camera,
        frame_id=frame_id,
        image=image,
        captured_ns=captured_ns,
        captured_at=NOON,
        part_id=f"part{frame_id}",
    )


def fault(frame_id: int, reason: str = "camera_error", *, camera: str = "top") -> FrameFault:
    return FrameFault(
        camera=camera,
        frame_id=frame_id,
        reason=reason,
        detail="scripted: torn; mend it",
        captured_ns=0,
        captured_at=NOON,
    )
