"""A real outbox with a publisher's records in it, and the room of parts behind them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from agent.clock import Clock, SystemClock, new_uuid7, rfc3339
from agent.contract.events import EventMaker
from agent.contract.part import SCHEMA, PartVerdict
from agent.contract.payloads import verdict_row
from agent.contract.verdict import (
    EVALUATION,
    FrameMessage,
    ModelMessage,
    SettingsMessage,
    TimingMessage,
    Verdict,
)
from agent.line.publish import Recorded
from agent.messages import VerdictName
from agent.outbox.database import Database
from agent.outbox.file import connect_to_read
from agent.outbox.outbox import Outbox
from agent.parts.file import PartFile, place
from agent.parts.parts import PartListener, PartVerdicts
from agent.parts.view import Rule
from tests.agent.outbox.rows import TOPICS
from tests.fakes import frame, good_picture

NOBODY = threading.Event()


@dataclass(slots=True)
class Station:
    """`record` commits verdicts; those of cameras with a rule are views."""

    folder: Path
    rules: Sequence[Rule]
    clock: Clock = field(default_factory=SystemClock)
    boot_id: str = "boot-1"
    listeners: Sequence[PartListener] = ()
    tells: bool = True  # the room of records as they are committed
    outbox: Outbox = field(init=False)
    events: EventMaker = field(init=False)
    parts: PartVerdicts = field(init=False)

    def open(self) -> Station:
        self.outbox = Outbox(Database(self.folder / "outbox.sqlite3", clock=self.clock))
        self.outbox.open()
        self.events = EventMaker(
            TOPICS, boot_id=self.boot_id, clock=self.clock, new_id=partial(new_uuid7, self.clock)
        )
        self.make_room()
        return self

    def make_room(self) -> None:
        self.parts = PartVerdicts(
            self.rules,
            PartFile(place(self.outbox.path)),
            outbox=self.outbox,
            events=self.events,
            boot_id=self.boot_id,
            clock=self.clock,
            clock_synced=lambda: True,
            last_before=self.outbox.last_sequence(),
            listeners=self.listeners,
        )

    def record(self, camera: str, part_id: str | None, verdict: VerdictName = "pass") -> Verdict:
        """Durable on return; the room is told after the commit, as by the publisher."""
        made = self.verdict(camera, part_id, verdict)
        self.append(made).result(10.0)
        return made

    def append(self, made: Verdict) -> Future[None]:
        item = frame(1, good_picture(), camera=made.camera, captured_ns=self.clock.monotonic_ns())
        told = Recorded(
            verdict=made,
            item=item,
            recipe=None,  # type: ignore[arg-type]  # of which the room asks nothing
            picture=None,
            inspection=None,
            capture_to_committed_s=0.0,
        )
        tell = (lambda: self.parts.recorded(told)) if self.tells else None
        return self.outbox.append([verdict_row(TOPICS, made)], tell)

    def verdict(self, camera: str, part_id: str | None, verdict: VerdictName = "pass") -> Verdict:
        evaluation, code = EVALUATION[verdict]
        return Verdict(
            result_id=new_uuid7(self.clock),
            sequence=self.outbox._appended_sequence + 1,
            boot_id=self.boot_id,
            station=TOPICS.station,
            camera=camera,
            created=rfc3339(self.clock.utc_now()),
            clock_synced=True,
            verdict=verdict,
            result_evaluation=evaluation,  # type: ignore[arg-type]
            result_evaluation_code=code,
            reason=None,
            part_id=part_id,
            score=None,
            frame=FrameMessage(id=1, first_line=0, lines=1, lines_lost=0, encoder=None, sha256=None),
            timing_ms=TimingMessage(capture_to_recorded=1.0),
            model=ModelMessage(bundle="cells", sha256="ab" * 32, engine="fake"),
            settings=SettingsMessage(version=1, sha256="cd" * 32),
        )

    def turn(self) -> None:
        """What the room's thread does once."""
        self.parts.turn(NOBODY, 0.0)

    def told(self) -> list[PartVerdict]:
        """Every part verdict in the outbox, in the order of commits."""
        return told_in(self.outbox.path)

    def close(self) -> None:
        self.parts.finish()
        self.outbox.close()


def told_in(path: Path) -> list[PartVerdict]:
    database = connect_to_read(path)
    try:
        rows = database.execute("SELECT payload FROM record WHERE class = 1 ORDER BY seq").fetchall()
    finally:
        database.close()
    return [PartVerdict.model_validate_json(row) for (row,) in rows if f'"{SCHEMA}"'.encode() in row]
