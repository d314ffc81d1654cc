"""A station of a real outbox, archive and file of marks, in which results can be marked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from agent.archive.shelf import Shelf
from agent.clock import Clock, SystemClock, new_uuid7
from agent.contract.judging import MarkResult
from agent.contract.mark import Mark
from agent.contract.payloads import verdict_row
from agent.contract.topics import Topics
from agent.contract.verdict import Verdict
from agent.marks.decide import Made, decide, of_verdict
from agent.marks.file import MarkFile
from agent.marks.marks import Marks
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from tests.agent.archive.records import limits, record, result_id, verdict
from tests.brokers import DEADLINE_S

TOPICS = Topics(site="plant1", area="press", line="l2", station="cell3-cam1")
_NUMBERS = count(1)


def mark(number: int = 1, says: str = "right", *, of: Verdict | None = None, **more: object) -> Mark:
    """Of result `number`, as it is before it has a number of its own."""
    asked = MarkResult.model_validate({"result_id": result_id(number), "says": says, **more})
    made = Made(
        mark_id=f"mark-{next(_NUMBERS)}",
        boot_id="boot-1",
        station="cell3-cam1",
        created="2026-11-24T08:00:00.000Z",
        who=asked.who or "Ada",
        way="page",
        picture="kept",
    )
    return decide(asked, of_verdict(of or verdict(number)), made)


@dataclass(kw_only=True)
class Said:
    folder: Path
    outbox: Outbox
    shelf: Shelf
    marks: Marks
    clock: Clock

    def judge(self, number: int, *, kept: bool = True, **more: object) -> str:
        """The id of a record that is in the outbox, and in the archive where it is kept."""
        record_, pieces = record(number, **more)  # type: ignore[arg-type]
        self.outbox.append([verdict_row(TOPICS, verdict(number, **more))]).result(DEADLINE_S)  # type: ignore[arg-type]
        if kept:
            self.shelf.put(record_, pieces)
        return result_id(number)

    def say(self, number: int, says: str = "right", **more: object) -> Mark:
        asked = MarkResult.model_validate({"result_id": result_id(number), "says": says, **more})
        return self.marks.mark(asked, asked.who or "Ada", "page").mark

    def follow(self) -> None:
        while self.marks.follow():
            pass

    def told(self) -> list[str]:
        """Ids of the marks in the outbox, in their order."""
        return [one.row.id for one in self.outbox.lease(10_000) if one.row.topic == TOPICS.mark()]


@contextmanager
def station(folder: Path, *, clock: Clock | None = None, **changes: object) -> Iterator[Said]:
    """`changes` are of the archive's bounds."""
    folder.mkdir(exist_ok=True)
    clock = clock or SystemClock()
    outbox = Outbox(Database(folder / "outbox.sqlite3", clock=clock))
    outbox.open()
    shelf = Shelf(folder / "archive", limits(days=3660.0, **changes), clock=clock)
    shelf.open()
    marks = Marks(
        MarkFile(folder / "outbox.sqlite3-marks.sqlite3"),
        outbox=outbox,
        topics=TOPICS,
        shelf=shelf,
        wanted=lambda one: True,
        boot_id="boot-1",
        clock=clock,
        new_id=partial(new_uuid7, clock),
    )
    try:
        yield Said(folder=folder, outbox=outbox, shelf=shelf, marks=marks, clock=clock)
    finally:
        marks.stop()
        shelf.close()
        outbox.close()
