"""The MES of a day: the example consumer with its database, and what stands there in the end."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.clock import moment_of
from tests.agent.cli.calling import Ended, process
from tests.deploy.mes.told import CONSUMER, Process
from tests.soak.account import Event, Part, Record
from tests.soak.hurried import DayClock

TABLES = ("verdicts", "events", "others")
WINDOW_LINES = 300  # of the line cameras
MISSING = re.compile(r": frames (\d+) to (\d+) did not arrive")


@dataclass(frozen=True, slots=True)
class Kept:
    """All that came, in the order of the station's chain of records."""

    records: tuple[Record, ...]
    parts: tuple[Part, ...]
    events: tuple[Event, ...]
    unreadable: int


class Mes:
    """`deploy/mes/consumer.py` as a process, and a look into its database."""

    def __init__(self, folder: Path, port: int) -> None:
        self.database = folder / "mes.sqlite3"
        self.consumer = Process(f"sqlite:///{self.database}", port, "--crops", folder / "crops")

    def stored(self) -> int:
        """Rows of all kinds."""
        with closing(self._open()) as database:
            return sum(database.execute(f"SELECT COUNT(*) FROM {one}").fetchone()[0] for one in TABLES)

    def verdicts(self) -> int:
        with closing(self._open()) as database:
            return int(database.execute("SELECT COUNT(*) FROM verdicts").fetchone()[0])

    def arrivals(self) -> int:
        """The number of the verdict that came last."""
        with closing(self._open()) as database:
            return int(database.execute("SELECT COALESCE(MAX(arrival), 0) FROM verdicts").fetchone()[0])

    def came_after(self, arrival: int, camera: str | None) -> int:
        """Verdicts of this camera, or of any."""
        query = "SELECT COUNT(*) FROM verdicts WHERE arrival > ? AND (? IS NULL OR camera = ?)"
        with closing(self._open()) as database:
            return int(database.execute(query, (arrival, camera, camera)).fetchone()[0])

    def last(self) -> dict[str, Any]:
        """The verdict that came last; nothing where there is none."""
        with closing(self._open()) as database:
            found = database.execute("SELECT body FROM verdicts ORDER BY arrival DESC LIMIT 1").fetchone()
        return dict(json.loads(found[0])) if found else {}

    def gaps(self, *options: str) -> tuple[int, str]:
        """`consumer.py gaps`: its exit code, and what it said."""
        return self.consumer.gaps(*options)

    def check(self, key: Path) -> Ended:
        """`consumer.py check`."""
        return process(CONSUMER, "check", "--database", f"sqlite:///{self.database}", "--key", key)

    def crops(self) -> int:
        """How many pictures it took, those that came twice among them; after its end."""
        (found,) = re.findall(r"crops (\d+)", self.consumer.said)
        return int(found)

    def kept(self, clock: DayClock) -> Kept:
        with closing(self._open()) as database:
            bodies = [json.loads(body) for table in TABLES for body in _bodies(database, table)]
            unreadable = int(database.execute("SELECT COUNT(*) FROM unreadable").fetchone()[0])
        records, parts, events = [], [], []
        at_s = 0.0
        for one in sorted(bodies, key=lambda one: one["chain"]["number"]):
            at_s = clock.elapsed_at(moment_of(one["created"]), near_s=at_s)
            match one["schema"]:
                case "plumbline.verdict/1":
                    records.append(_record(one, at_s))
                case "plumbline.part/1":
                    views = tuple(view["result_id"] for view in one["views"])
                    parts.append(Part(sequence=one["sequence"], views=views))
                case "plumbline.event/1":
                    crop = one["data"].get("crop_id")
                    events.append(Event(name=one["event"], at_s=at_s, detail=one["detail"], crop=crop))
        return Kept(tuple(records), tuple(parts), tuple(events), unreadable)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=60)


def _bodies(database: sqlite3.Connection, table: str) -> Iterator[str]:
    return (body for (body,) in database.execute(f"SELECT body FROM {table}"))


def _record(one: dict[str, Any], at_s: float) -> Record:
    named = [defect.get("crop") for defect in one["defects"]] + [one.get("sample")]
    return Record(
        sequence=one["sequence"],
        result_id=one["result_id"],
        boot_id=one["boot_id"],
        camera=one["camera"],
        epoch=one["frame"]["epoch"],
        frame_id=one["frame"]["id"],
        reason=one["reason"],
        at_s=at_s,
        recorded_ms=one["timing_ms"]["capture_to_recorded"],
        shared=_shared(one),
        crops=tuple(crop["crop_id"] for crop in named if crop),
    )


def _shared(one: dict[str, Any]) -> int:
    """Triggers beside its own that a record stands for: from the 17th in a row on all share one."""
    if found := MISSING.search(one.get("detail") or ""):
        return int(found[2]) - int(found[1])
    return max(0, one["frame"]["lines_lost"] // WINDOW_LINES - 1)
