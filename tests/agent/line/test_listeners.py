"""Whoever listens is told of each record once it is durable, with its frame where it has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.clock import ManualClock, new_uuid7
from agent.line.publish import Listener, ListenerError, Publisher, Recorded
from agent.line.record import Origin
from agent.messages import Frame
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from tests.agent.line.recipes import recipe
from tests.agent.line.records import TOPICS, verdicts
from tests.fakes import fault, frame, good_picture


def publisher_on(outbox: Outbox, clock: ManualClock, *listeners: Listener) -> Publisher:
    return Publisher(
        outbox=outbox,
        topics=TOPICS,
        origin=Origin(station="cell3-cam1", boot_id="boot-1", simulated=frozenset()),
        clock=clock,
        clock_synced=lambda: None,
        new_id=lambda: new_uuid7(clock),
        first_sequence=1,
        listeners=listeners,
    )


def test_a_listener_is_told_of_durable_records_only_and_of_faults_without_a_frame(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = Outbox(Database(tmp_path / "outbox.sqlite3", clock=clock))
    outbox.open()
    kept: list[tuple[str, Frame | None, str]] = []

    class Keeping:
        def recorded(self, told: Recorded) -> None:
            durable = [one["result_id"] for one in verdicts(tmp_path / "outbox.sqlite3")]
            assert durable[-1] == told.verdict.result_id
            kept.append((told.verdict.verdict, told.frame, told.recipe.digest))

    publisher = publisher_on(outbox, clock, Keeping())
    seen = frame(0, good_picture())
    by = recipe()
    publisher.record_undecided(seen, by, "engine_error", "scripted")
    outbox.append([]).result()
    publisher.record_skipped(fault(1), by)
    outbox.close()
    assert kept == [("undecided", seen, by.digest), ("skipped", None, by.digest)]


def test_a_listener_that_raises_costs_no_record_and_no_other_listener(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = Outbox(Database(tmp_path / "outbox.sqlite3", clock=clock))
    outbox.open()
    heard: list[int] = []

    class Broken:
        def recorded(self, told: Recorded) -> None:
            raise ValueError(f"scripted at {told.verdict.sequence}")

    class Keeping:
        def recorded(self, told: Recorded) -> None:
            heard.append(told.verdict.sequence)

    publisher = publisher_on(outbox, clock, Broken(), Keeping())
    publisher.check()
    for number in range(3):
        publisher.record_skipped(fault(number), recipe())
    outbox.append([]).result()
    assert outbox.failure is None
    outbox.close()
    assert heard == [1, 2, 3]
    assert [one["sequence"] for one in verdicts(tmp_path / "outbox.sqlite3")] == [1, 2, 3]
    with pytest.raises(ListenerError, match=r"Broken raised ValueError\('scripted at 1'\) at record 1"):
        publisher.check()
