"""The proposed threshold: from good frames alone, as the workshop calibrates, with what it can promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.archive.archive import Archive
from agent.archive.bounds import by_chance
from agent.archive.record import Mark, MarkWord
from agent.archive.shelf import Shelf
from agent.clock import ManualClock, new_uuid7
from agent.contract.verdict import ScoreMessage
from agent.messages import VerdictName
from agent.remote.commands.goods import Goods, propose
from agent.schemas import examples
from agent.settings import archive as settings
from models.data import threshold as workshop
from tests.agent.remote.fakes import frame
from tests.brokers import DEADLINE_S

BUNDLE = examples.verdict().model.sha256


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("count", [1, 20, 99, 1000])
def test_it_is_the_one_that_the_workshop_would_calibrate(count: int, rate: float) -> None:
    scores = np.random.default_rng(count).gamma(2, 0.01, count).astype(np.float32)
    here, there = propose(list(map(float, scores)), rate), workshop.calibrate(scores, target=rate, source="x")
    assert here.threshold == pytest.approx(there.raw, rel=1e-6)
    assert here.provisional == (there.provisional_rate is not None)
    assert here.rate == pytest.approx(there.provisional_rate or rate)
    assert here.interval[0] <= here.threshold and here.interval[1] >= here.interval[0]


class Kept:
    """An archive, and what was put into it."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        limits = settings.Archive(folder=folder, pass_share=1.0)
        self.archive = Archive(Shelf(folder, limits, clock=self.clock), limits, clock=self.clock)
        self.archive.start()

    def put(
        self, verdict: VerdictName, score: float, *, bundle: str = BUNDLE, mark: MarkWord | None = None
    ) -> str:
        self.clock.advance(1)
        seen = frame()
        base = examples.verdict()
        told = base.model_copy(
            update={
                "result_id": new_uuid7(self.clock),
                "verdict": verdict,
                "score": ScoreMessage(raw=score, threshold=0.03, normalized=100 * score / 0.03),
                "model": base.model.model_copy(update={"sha256": bundle}),
                "frame": base.frame.model_copy(
                    update={"sha256": seen.digest(), "first_line": 0, "lines": len(seen.image)}
                ),
                "created": f"2026-01-01T00:00:{round(self.clock.monotonic_ns() / 1e9):02}.000Z",
            }
        )
        self.archive.offer(told, seen, None, "recipe")
        assert self.archive.settle(DEADLINE_S)
        if mark is not None:
            self.archive.shelf.mark(told.result_id, Mark(word=mark, by="a", at=examples.WHEN))
        return told.result_id


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path / "archive")
    yield made
    made.archive.stop()


def found(kept: Kept, limit: int = 100, *, share: float = 1.0, camera: str | None = None) -> list[float]:
    goods = Goods(kept.archive, pass_share=share, bundle_sha256=lambda: BUNDLE)
    return [round(one.score, 4) for one in goods.good(camera, limit) if one is not None]


def test_good_are_passes_and_false_alarms_that_the_bundle_in_force_judged(kept: Kept) -> None:
    kept.put("pass", 0.01)
    kept.put("fail", 0.04)
    kept.put("undecided", 0.011)
    kept.put("fail", 0.05, mark="false_alarm")
    kept.put("pass", 0.02, mark="missed_defect")
    kept.put("fail", 0.06, mark="confirmed")
    kept.put("pass", 0.012, bundle="ef" * 32)
    kept.put("pass", 0.013, mark="confirmed")
    assert found(kept) == [0.013, 0.05, 0.01], "the newest first"
    assert found(kept, 2) == [0.013, 0.05]
    assert found(kept, camera="side") == []


def test_of_false_alarms_the_share_counts_that_is_kept_of_passes(kept: Kept) -> None:
    ids = [kept.put("fail", 0.04, mark="false_alarm") for _ in range(20)]
    counted = len(found(kept, share=0.5))
    assert counted == sum(by_chance(one, 0.5) for one in ids) and 0 < counted < 20


def test_an_entry_that_is_gone_or_damaged_is_passed_over(kept: Kept) -> None:
    kept.put("pass", 0.01)
    kept.put("pass", 0.02)
    first, second = sorted(kept.archive.shelf.folder.glob("*/*.png"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:60])
    assert found(kept) == []
