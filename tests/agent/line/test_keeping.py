"""Whoever keeps frames is told of each that has a picture, once its record is durable."""

from __future__ import annotations

from pathlib import Path

from agent.clock import ManualClock
from agent.contract.verdict import Verdict
from agent.line.publish import Publisher
from agent.messages import Frame, Inspection
from agent.outbox.outbox import Outbox
from agent.settings.settings import Crops
from agent.status.board import Board
from agent.status.metrics import Metrics
from tests.agent.line.records import TOPICS, origin, verdicts
from tests.fakes import fault, frame, good_picture


def test_frames_that_could_not_be_judged_are_handed_over_and_faults_are_not(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = Outbox(tmp_path / "outbox.sqlite3", clock=clock)
    outbox.open()
    kept: list[tuple[str, Frame, Inspection | None]] = []

    def keep(verdict: Verdict, seen: Frame, inspection: Inspection | None) -> None:
        durable = [one["result_id"] for one in verdicts(tmp_path / "outbox.sqlite3")]
        assert durable[-1] == verdict.result_id
        kept.append((verdict.verdict, seen, inspection))

    publisher = Publisher(
        outbox=outbox,
        topics=TOPICS,
        origin=origin(clock),
        crops=Crops(),
        clock=clock,
        board=Board(station="cell3-cam1", version="0", clock=clock),
        metrics=Metrics(["top"]),
        first_sequence=1,
        keep=keep,
    )
    seen = frame(0, good_picture())
    publisher.record_undecided(seen, "engine_error", "scripted")
    outbox.append([]).result()
    publisher.record_skipped(fault(1))
    outbox.close()
    assert kept == [("undecided", seen, None)]
