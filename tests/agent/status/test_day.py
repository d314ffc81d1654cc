"""The last day is known by the minute, goes no farther back, and outlives the agent."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.status.day import DAY_MINUTES, SAVE_EVERY_S, Day
from tests.agent.status.samples import verdict


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_records_are_counted_by_minute_and_camera(tmp_path: Path, clock: ManualClock) -> None:
    day = Day(tmp_path / "day.json", clock)
    begin = clock.utc_now()
    day.saw(verdict(0, "fail", normalized=160, boxes=((10, 20, 30, 40),)), width=100, height=200)
    day.saw(verdict(1, "skipped"), width=0, height=0)
    clock.advance(61)
    day.saw(verdict(2, normalized=40), width=100, height=200)
    first, second = day.minutes(begin)["top"]
    assert (first.counts, first.scored, first.score_max) == ((0, 1, 0, 1), 1, 160)
    assert (second.counts, second.score_sum) == ((1, 0, 0, 0), 40)
    assert day.counts(begin) == {"pass": 1, "fail": 1, "undecided": 0, "skipped": 1}
    (defect,) = day.defects(begin)
    assert (defect.x, defect.y) == (0.25, 0.2)


def test_a_day_is_all_that_is_kept(tmp_path: Path, clock: ManualClock) -> None:
    day = Day(tmp_path / "day.json", clock)
    begin = clock.utc_now()
    for number in range(DAY_MINUTES + 30):
        day.saw(verdict(number), width=1, height=1)
        clock.advance(60)
    assert len(day.minutes(begin)["top"]) == DAY_MINUTES
    assert day.first() == int(begin.timestamp() // 60) + 30
    assert day.counts(clock.utc_now() - timedelta(minutes=10))["pass"] == 10


def test_what_was_kept_is_gone_on_with_after_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    day = Day(tmp_path / "day.json", clock)
    begin = clock.utc_now()
    day.saw(verdict(0, "fail", boxes=((1, 2, 3, 4),)), width=10, height=10)
    day.watch()
    assert not (tmp_path / "day.json").exists()
    clock.advance(SAVE_EVERY_S)
    day.watch()
    again = Day(tmp_path / "day.json", clock)
    again.open()
    assert again.counts(begin)["fail"] == 1
    assert again.defects(begin) == day.defects(begin)


@pytest.mark.parametrize("content", [b"", b"{", b'{"minutes": 3}', b"\xff" * 100])
def test_a_file_that_is_no_good_is_begun_anew(tmp_path: Path, clock: ManualClock, content: bytes) -> None:
    (tmp_path / "day.json").write_bytes(content)
    day = Day(tmp_path / "day.json", clock)
    day.open()
    day.saw(verdict(0), width=1, height=1)
    day.save()
    again = Day(tmp_path / "day.json", clock)
    again.open()
    assert again.first() is not None


def test_a_folder_that_takes_nothing_costs_no_record(tmp_path: Path, clock: ManualClock) -> None:
    day = Day(tmp_path / "gone" / "day.json", clock)
    day.open()
    day.saw(verdict(0), width=1, height=1)
    day.save()
    assert day.first() is not None


def test_a_clock_that_is_set_back_loses_nothing(tmp_path: Path, clock: ManualClock) -> None:
    day = Day(tmp_path / "day.json", clock)
    begin = clock.utc_now()
    clock.advance(3600)
    day.saw(verdict(0), width=1, height=1)
    earlier = ManualClock()
    back = Day(tmp_path / "day.json", earlier)
    back.fill(day.minutes(begin), [])
    back.saw(verdict(1), width=1, height=1)
    assert back.counts(begin)["pass"] == 2
