"""Good frames of an archive, and all results that the bundle in force has judged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.archive.archive import Archive
from agent.archive.bounds import by_chance
from agent.archive.record import Mark, MarkWord
from agent.archive.shelf import Shelf
from agent.clock import ManualClock, new_uuid7
from agent.contract.verdict import ScoreMessage
from agent.messages import VerdictName
from agent.remote.commands.goods import Goods
from agent.schemas import examples
from agent.settings import archive as settings
from tests.agent.remote.fakes import frame
from tests.brokers import DEADLINE_S

BUNDLE = examples.verdict().model.sha256


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
    goods = Goods(
        kept.archive.shelf.find, kept.archive.shelf.folder, pass_share=share, bundle_sha256=lambda: BUNDLE
    )
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


def test_results_are_those_of_the_bundle_in_force_good_or_not(kept: Kept) -> None:
    kept.put("pass", 0.01)
    kept.put("fail", 0.04)
    goods = Goods(
        kept.archive.shelf.find, kept.archive.shelf.folder, pass_share=1, bundle_sha256=lambda: BUNDLE
    )
    found = [one.head.score for one in goods.results(None, 10) if one is not None]
    assert found == [0.04, 0.01]
    assert len(list(goods.results(None, 1))) == 1
    other = Goods(
        kept.archive.shelf.find, kept.archive.shelf.folder, pass_share=1, bundle_sha256=lambda: "ef" * 32
    )
    assert list(other.results(None, 10)) == [None, None]
