"""A publisher on a real outbox, and what came of it: rows on disk, what page and metrics were told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.clock import ManualClock, new_uuid7
from agent.contract.topics import Topics
from agent.line.bindings import Bindings
from agent.line.publish import Publisher
from agent.line.record import Origin
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from agent.status.board import Board
from agent.status.metrics import Metrics
from agent.status.tally import Tally
from tests.brokers import DEADLINE_S

TOPICS = Topics(site="site", area="area", line="line", station="cell3-cam1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where records are made."""

    publisher: Publisher
    outbox: Outbox
    board: Board
    metrics: Metrics
    bindings: Bindings
    clock: ManualClock

    def settle(self) -> None:
        """Wait until everything so far is committed and told."""
        self.outbox.append([]).result(DEADLINE_S)

    def told(self) -> dict[str, int]:
        """Verdicts that the page knows of, by name."""
        return {name: count for name, count in self.board.snapshot().counts.items() if count}


@contextmanager
def desk(
    path: Path, *, cameras: tuple[str, ...] = ("top",), parts_required: tuple[str, ...] = ()
) -> Iterator[Desk]:
    """A publisher as the agent builds it, on the outbox at `path`."""
    clock = ManualClock()
    outbox = Outbox(Database(path, clock=clock))
    outbox.open()
    board = Board(station="cell3-cam1", version="0", clock=clock)
    tally = Tally(cameras)
    metrics = Metrics(tally.samples)
    bindings = Bindings(cameras, path=path.with_name("bindings.json"), clock=clock)
    publisher = Publisher(
        outbox=outbox,
        topics=TOPICS,
        origin=Origin(station="cell3-cam1", boot_id="boot-1", simulated=frozenset({"simulated"})),
        clock=clock,
        clock_synced=lambda: None,
        new_id=lambda: new_uuid7(clock),
        first_sequence=outbox.last_sequence() + 1,
        listeners=[tally, board],
        bindings=bindings,
        parts_required=parts_required,
    )
    try:
        yield Desk(
            publisher=publisher, outbox=outbox, board=board, metrics=metrics, bindings=bindings, clock=clock
        )
    finally:
        outbox.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One row on disk."""

    kind: str
    topic: str
    properties: dict[str, str]
    sequence: int | None
    payload: bytes


def stored(path: Path) -> list[Stored]:
    """Every row on disk, in the order of commits, read beside the agent."""
    with closing(sqlite3.connect(path)) as database:
        found = database.execute(
            "SELECT class, topic, properties, sequence, payload FROM record ORDER BY seq"
        )
        return [
            Stored(
                kind=("verdict", "event", "crop")[number],
                topic=topic,
                properties=dict(json.loads(properties)),
                sequence=sequence,
                payload=payload,
            )
            for number, topic, properties, sequence, payload in found
        ]


def verdicts(path: Path, *, after: int = 0) -> list[dict[str, Any]]:
    """The verdicts on disk, in the order of commits; `after` a sequence number."""
    with closing(sqlite3.connect(path)) as database:
        found = database.execute(
            "SELECT payload FROM record WHERE class = 0 AND sequence > ? ORDER BY seq", (after,)
        )
        return [json.loads(payload) for (payload,) in found]
