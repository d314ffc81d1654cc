"""Whoever keeps frames is told of each that has a picture, once its record is durable."""

from __future__ import annotations

from pathlib import Path

from agent.clock import ManualClock, new_uuid7
from agent.contract.verdict import Verdict
from agent.line.publish import Publisher
from agent.line.record import Origin
from agent.messages import Frame, Inspection
from agent.outbox.outbox import Outbox
from agent.status.board import Board
from agent.status.metrics import Metrics
from tests.agent.line.recipes import recipe
from tests.agent.line.records import TOPICS, verdicts
from tests.fakes import fault, frame, good_picture


def test_frames_that_could_not_be_judged_are_handed_over_and_faults_are_not(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = Outbox(tmp_path / "outbox.sqlite3", clock=clock)
    outbox.open()
    kept: list[tuple[str, Frame, Inspection | None, str]] = []

    def keep(verdict: Verdict, seen: Frame, inspection: Inspection | None, digest: str) -> None:
        durable = [one["result_id"] for one in verdicts(tmp_path / "outbox.sqlite3")]
        assert durable[-1] == verdict.result_id
        kept.append((verdict.verdict, seen, inspection, digest))

    publisher = Publisher(
        outbox=outbox,
        topics=TOPICS,
        origin=Origin(station="cell3-cam1", boot_id="boot-1", simulated=frozenset()),
        clock=clock,
        clock_synced=lambda: None,
        new_id=lambda: new_uuid7(clock),
        board=Board(station="cell3-cam1", version="0", clock=clock),
        metrics=Metrics(["top"]),
        first_sequence=1,
        keep=keep,
    )
    seen = frame(0, good_picture())
    by = recipe()
    publisher.record_undecided(seen, by, "engine_error", "scripted")
    outbox.append([]).result()
    publisher.record_skipped(fault(1), by)
    outbox.close()
    assert kept == [("undecided", seen, None, by.digest)]
