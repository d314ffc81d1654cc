"""No step of the wall clock makes anything older or younger; time that passed does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import ManualClock, new_uuid7, uuid7_after
from agent.contract.events import EventMaker
from agent.outbox.age import Anchor, Moment, lived_ns
from agent.outbox.database import Database
from agent.outbox.file import read_depth
from agent.outbox.keeper import Keeper
from agent.outbox.outbox import Outbox
from agent.outbox.spool import DAY_S, Limits
from tests.agent.outbox.rows import TOPICS, crop, verdict
from tests.brokers import DEADLINE_S

YEARS = 365 * DAY_S


class Wall(ManualClock):
    """Its wall clock can be set."""

    def __init__(self, start: datetime, *, synced: bool | None = None) -> None:
        super().__init__(start, synced=synced)
        self.step_s = 0.0

    def utc_now(self) -> datetime:
        return super().utc_now() + timedelta(seconds=self.step_s)


def keeper_of(database: Database, clock: ManualClock) -> Keeper:
    numbers = iter(range(10_000))
    events = EventMaker(TOPICS, boot_id="b", clock=clock, new_id=lambda: f"e{id(clock)}-{next(numbers)}")
    limits = Limits(history_s=7 * DAY_S, crop_age_s=7 * DAY_S)
    keeper = Keeper(database, limits=limits, hold_when_full=True, events=events, clock=clock)
    keeper.open()
    return keeper


def opened(path: Path, clock: ManualClock) -> tuple[Database, Outbox]:
    database = Database(path, clock=clock)
    outbox = Outbox(database)
    outbox.open()
    return database, outbox


@pytest.mark.parametrize("start", [1970, 2026, 2090])
@pytest.mark.parametrize("step_s", [-40 * YEARS, -10 * YEARS, -DAY_S, 8 * DAY_S, 10 * YEARS, 56 * YEARS])
@pytest.mark.parametrize("synced", [True, False])
def test_a_step_of_the_clock_deletes_nothing_and_time_that_passes_does(
    tmp_path: Path, start: int, step_s: float, synced: bool
) -> None:
    if start == 1970 and step_s < 0:
        pytest.skip("before all clocks")
    clock = Wall(datetime(start, 1, 1, 0, 5, tzinfo=timezone.utc), synced=synced)
    database, outbox = opened(tmp_path / "outbox.sqlite3", clock)
    keeper = keeper_of(database, clock)
    outbox.append([verdict(1), verdict(2), crop(1)]).result(DEADLINE_S)
    outbox.delivered([1])
    clock.advance(60)
    for clock.step_s in (step_s, 0, step_s):
        done = keeper.tidy()
        assert (done.trimmed, done.evicted) == (0, ())
        assert outbox.depth().oldest_s == pytest.approx(60)
        assert read_depth(outbox.path, clock=clock).oldest_s == pytest.approx(60)
    outbox.close()
    database, outbox = opened(tmp_path / "outbox.sqlite3", clock)  # another process of the same boot
    keeper.close()
    keeper = keeper_of(database, clock)
    assert keeper.tidy().trimmed == 0
    clock.advance(7 * DAY_S)
    clock.step_s = 0
    done = keeper.tidy()
    assert (done.trimmed, len(done.evicted)) == (1, 1)
    keeper.close()
    outbox.close()


@pytest.mark.parametrize(
    ("before", "after", "away_s", "aged_s"),
    [
        (True, True, DAY_S, DAY_S),
        (True, True, -DAY_S, 0),
        (True, False, 10 * YEARS, 0),
        (False, True, 50 * YEARS, 0),
        (None, None, 10 * YEARS, 0),
    ],
)
def test_over_a_boot_only_a_clock_that_was_and_is_synchronised_counts(
    tmp_path: Path, before: bool | None, after: bool | None, away_s: float, aged_s: float
) -> None:
    first = Wall(datetime(2026, 11, 1, tzinfo=timezone.utc), synced=before)
    database, outbox = opened(tmp_path / "outbox.sqlite3", first)
    outbox.append([crop(1)]).result(DEADLINE_S)
    first.advance(100)
    keeper = keeper_of(database, first)
    keeper.tidy()
    keeper.close()
    outbox.close()
    second = Wall(first.utc_now() + timedelta(seconds=away_s), synced=after)
    database, outbox = opened(tmp_path / "outbox.sqlite3", second)
    second.advance(5)
    assert outbox.depth().oldest_s == pytest.approx(105 + aged_s)
    outbox.close()


MOMENT = st.builds(
    Moment,
    boot=st.sampled_from("ab"),
    monotonic_ns=st.integers(0, 1 << 60),
    wall_ns=st.integers(-(1 << 62), 1 << 62),
    synced=st.booleans(),
)


@given(MOMENT, MOMENT, st.integers(0, 1 << 60))
def test_the_outbox_never_grows_younger(then: Moment, now: Moment, lived: int) -> None:
    assert lived_ns(Anchor(moment=then, lived_ns=lived), now) >= lived


@given(st.lists(st.integers(-(10**9), 10**9), max_size=30), st.booleans())
def test_ids_are_in_order_whatever_the_clock_does(steps_s: list[int], restarts: bool) -> None:
    clock = Wall(datetime(2026, 11, 1, tzinfo=timezone.utc))
    made: list[str] = []
    for step_s in steps_s:
        clock.step_s = step_s
        if restarts and made:
            again = Wall(datetime(2026, 11, 1, tzinfo=timezone.utc))
            again.step_s = clock.step_s
            uuid7_after(again, made[-1])
            clock = again
        made += [new_uuid7(clock) for _ in range(3)]
    assert made == sorted(set(made))


def test_ten_thousand_ids_of_one_millisecond_are_in_order() -> None:
    clock = ManualClock()
    made = [new_uuid7(clock) for _ in range(10_000)]
    assert made == sorted(set(made))


def test_a_command_is_remembered_after_a_step_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.outbox.keeper.COMMANDS_KEPT", 5)
    clock = Wall(datetime(2026, 11, 1, tzinfo=timezone.utc))
    database, outbox = opened(tmp_path / "outbox.sqlite3", clock)
    keeper = keeper_of(database, clock)
    for number in range(20):
        clock.advance(1)
        clock.step_s -= DAY_S
        keeper.remember(str(number), clock.utc_now())
    seen: Callable[[str], bool] = keeper.seen
    assert [seen(str(number)) for number in range(20)] == [False] * 15 + [True] * 5
    keeper.close()
    outbox.close()
