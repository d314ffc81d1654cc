"""However a frame is cut and batched, its inspection is the same."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import ManualClock
from agent.engines.batches import in_batches
from agent.engines.engine import BATCHES, Answer
from agent.line.infer import infer, lay_out
from agent.line.prepare import prepare
from agent.messages import Pixels
from tests.fakes import FakeEngine, bad_picture, evidence_of, frame, spec


def numbered(count: int, side: int = 4) -> Pixels:
    """Tiles that hold their own number."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1), (count, side, side, 1))


@given(st.integers(1, 60))
def test_batches_hold_every_tile_once_in_order_and_have_built_sizes(count: int) -> None:
    batches = list(in_batches(numbered(count), BATCHES))
    assert np.array_equal(np.concatenate(batches), numbered(count))
    assert {len(batch) for batch in batches} <= set(BATCHES)
    assert [len(batch) for batch in batches] == sorted((len(batch) for batch in batches), reverse=True)
    assert len(batches) == count // 4 + count % 4


def test_an_inspection_has_a_score_for_each_tile_and_one_map_for_the_frame() -> None:
    image = bad_picture(64, 96, spots=((60, 20, 8, 4),))
    engine = FakeEngine()
    prepared = prepare(frame(0, image), spec(overlap_px=0), ManualClock())
    found = infer(prepared, engine, ManualClock())
    assert engine.batches == [4, 1, 1]
    assert found.scores.shape == (6,) and found.scores.dtype == np.float32
    assert np.flatnonzero(found.scores > 0.9).tolist() == [1, 2]  # the spot lies across two tiles
    assert np.allclose(found.evidence, evidence_of(image))
    assert found.restored.shape == image.shape


@given(st.integers(1, 80), st.integers(1, 80), st.integers(0, 12))
def test_a_frame_of_any_size_and_overlap_gets_a_whole_map_and_a_whole_restoration(
    height: int, width: int, overlap_px: int
) -> None:
    image = bad_picture(height, width, spots=((width // 2, height // 2, 4, 4),))
    prepared = prepare(frame(0, image), spec(overlap_px=overlap_px), ManualClock())
    found = infer(prepared, FakeEngine(), ManualClock())
    assert found.evidence.shape == (-(-height // 4), -(-width // 4))
    assert found.restored.shape == image.shape
    assert np.isfinite(found.evidence).all()
    assert found.evidence.max() <= found.scores.max()


def test_the_times_of_an_inspection_are_those_of_the_engine() -> None:
    clock = ManualClock()

    class Slow(FakeEngine):
        def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
            clock.advance(0.25)
            return FakeEngine.run(self, tiles, restored=restored)

    prepared = prepare(frame(0, bad_picture(64, 64)), spec(overlap_px=0), clock)
    found = infer(prepared, Slow(), clock)
    assert found.finished_ns - found.started_ns == 250_000_000


def test_an_engine_that_fails_is_not_asked_for_the_rest() -> None:
    engine = FakeEngine(failures=deque([RuntimeError("out of memory")]))
    prepared = prepare(frame(0, bad_picture(96, 96)), spec(), ManualClock())
    with pytest.raises(RuntimeError, match="out of memory"):
        infer(prepared, engine, ManualClock())
    assert engine.batches == [4]


def test_restored_tiles_are_laid_out_where_they_were_cut() -> None:
    tiles = numbered(4)
    found = lay_out(tiles, ((0, 0), (2, 0), (0, 2), (2, 2)), (6, 6))
    assert found.shape == (6, 6, 1)
    assert found[:2, :, 0].tolist() == [[0, 0, 1, 1, 1, 1]] * 2
    assert found[2:, :, 0].tolist() == [[2, 2, 3, 3, 3, 3]] * 4


def test_one_restored_tile_is_cut_to_the_frame() -> None:
    assert lay_out(numbered(1, side=8), ((0, 0),), (3, 5)).shape == (3, 5, 1)
