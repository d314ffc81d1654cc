"""Good parts from a running line: which are taken, how many of a minute, and that nobody waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.clock import ManualClock
from agent.line.publish import Recorded
from agent.messages import Frame, VerdictName
from agent.teach.collect import Got
from agent.teach.part_set import About, PartSet
from agent.teach.tap import MINUTES, SILENT_S, Tap, Wish, from_line
from tests.agent.status.samples import verdict
from tests.agent.teach.good import plate

BEGAN = datetime(2026, 1, 1, tzinfo=timezone.utc)
ANY: Any = None


def judged(
    number: int, name: VerdictName = "pass", *, camera: str = "top", partial: bool = False
) -> Recorded:
    """A part each second."""
    image = plate(number)
    frame = Frame(
        camera=camera,
        frame_id=number,
        image=image,
        captured_ns=0,
        captured_at=BEGAN + timedelta(seconds=number),
    )
    record = verdict(number, name, camera=camera).model_copy(update={"is_partial": partial})
    return Recorded(
        verdict=record,
        item=frame,
        recipe=ANY,
        picture=image,
        inspection=None,
        capture_to_committed_s=0.0,
    )


@pytest.fixture
def own(tmp_path: Path) -> PartSet:
    parts = PartSet(tmp_path / "set")
    parts.open(About(product="plate", source="camera"))
    return parts


def test_nothing_is_held_while_nobody_collects() -> None:
    tap = Tap()
    tap.recorded(judged(1))
    with tap.open(Wish()) as following:
        assert following() is None


@pytest.mark.parametrize(
    ("wish", "taken"),
    [
        (Wish(), ["pass", "fail", "pass"]),
        (Wish(only_passed=True), ["pass", "pass"]),
        (Wish(camera="top"), ["pass", "fail"]),
    ],
)
def test_what_was_not_judged_is_no_part_and_what_is_wanted_is_taken(wish: Wish, taken: list[str]) -> None:
    tap, found = Tap(), []
    told = [
        judged(1),
        judged(2, "fail"),
        judged(3, camera="side"),
        judged(4, "undecided"),
        judged(5, "skipped"),
        judged(6, partial=True),
    ]
    with tap.open(wish) as following:
        for one in told:
            tap.recorded(one)
            if (part := following()) is not None:
                assert np.array_equal(part.picture, one.picture)  # type: ignore[arg-type]
                found.append(one.verdict.verdict)
    assert found == taken


def test_a_part_that_comes_while_one_is_written_goes_by_and_the_line_does_not_wait() -> None:
    tap = Tap()
    with tap.open(Wish()) as following:
        for number in range(100):
            tap.recorded(judged(number))
        first = following()
        assert first is not None and first.taken == BEGAN
        assert following() is None


def fed(own: PartSet, wanted: int, seconds: int) -> list[Got]:
    """By a line with a part each second, and a collector that is always quicker."""
    tap, clock, told = Tap(), ManualClock(), list[Got]()
    going = from_line(own, tap, Wish(), wanted, clock)

    def next_part(number: int) -> Iterator[Got]:
        feeding = threading.Timer(0.02, tap.recorded, [judged(number)])
        feeding.start()
        yield from [one for one in [next(going, None)] if one is not None]
        feeding.join()

    for number in range(seconds):
        if own.count() >= wanted:
            break
        told += next_part(number)
    return told


def test_at_most_a_share_of_those_wanted_comes_from_one_minute(own: PartSet) -> None:
    told = fed(own, wanted=10, seconds=60 * (MINUTES - 1) + 2)
    most = 10 // MINUTES
    minutes = [one.name.split("--")[1][:13] for one in own.pictures()]
    assert {minutes.count(one) for one in minutes} == {most} and own.count() == 10
    assert any("of this minute are there" in (one.waits or "") for one in told)


def test_a_line_that_gives_nothing_is_told_and_can_be_left(own: PartSet) -> None:
    tap, clock = Tap(), ManualClock()
    going = from_line(own, tap, Wish(), 10, clock)
    assert next(going) == Got(parts=0, wanted=10)
    clock.advance(SILENT_S + 1)
    assert "does the line run?" in (next(going).waits or "")
    going.close()  # type: ignore[attr-defined]
    tap.recorded(judged(1))
    with tap.open(Wish()) as following:
        assert following() is None, "nobody collected any more"
