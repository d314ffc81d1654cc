"""Power cuts: one process is journalled, and its disk is rebuilt as it was at many moments."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from agent.chain.report import verify
from agent.clock import SystemClock
from agent.contract.row import KINDS
from agent.outbox.database import Database
from agent.outbox.file import OutboxError
from agent.outbox.outbox import Outbox
from tests.faults.disk import Disk, Record, read_journal
from tests.faults.ledger import Balance
from tests.faults.rows import Recipe

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).parent / "shim" / "journal.c"
COMPILER = shutil.which("cc") or shutil.which("gcc")
APPENDS = 150
CHILD_TIMEOUT_S = 120
DATABASE = "outbox.sqlite3"


@dataclass(slots=True)
class Said:
    """What the process had said until the cut."""

    committed: int = 0  # appends, from the first to this one
    given_up: set[str] = field(default_factory=set)  # ids of rows that it called delivered
    _line: bytes = b""

    def hear(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            sign, _, word = line.decode().partition(" ")
            if sign == "+":
                self.committed = int(word)
            else:
                self.given_up.add(word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What one power cut did. Rows that were never announced may be there or not, but not in part."""

    announced: int  # appends
    rows: int  # of those
    rows_lost: int  # of those, neither given up nor there
    gaps: int  # sequences skipped below the last one, and rows above it
    in_order: bool  # of what waits
    damage: str | None


def cut(folder: Path, *, moments: int = 30, seed: int = 1) -> Balance:
    """All cuts together. What is there after a cut counts as delivered, and damage as unexpected."""
    found = list(cuts(folder, moments=moments, seed=seed))
    committed, missing = sum(one.rows for one in found), sum(one.rows_lost for one in found)
    return Balance(
        fault=f"power cut at {len(found)} moments",
        committed=committed,
        delivered=committed - missing,
        missing=missing,
        unexpected=sum(one.damage is not None for one in found),
        duplicates=0,
        order_kept=all(one.in_order for one in found),
        gaps=sum(one.gaps for one in found),
        waiting=0,
        peak_rss_mb=None,
    )


def cuts(folder: Path, *, moments: int, seed: int, synchronous: str = "FULL") -> Iterator[Cut]:
    """Two for each moment: without anything unsynced, and with each unsynced thing by chance."""
    rng = random.Random(seed)
    records = journalled(folder, synchronous=synchronous, seed=seed)
    assert sum(r.kind == "w" and r.name == DATABASE for r in records) > 50, "no checkpoint was journalled"
    chosen = set(rng.sample(range(len(records)), moments))
    disk, said = Disk(), Said()
    for index, record in enumerate(records):
        disk.take(record)
        if record.name == "announced" and record.kind == "w":
            said.hear(record.data)
        if index in chosen:
            yield examined(folder / f"{index}-dropped", disk.after_cut(None), said)
            yield examined(folder / f"{index}-random", disk.after_cut(rng), said)


def journalled(folder: Path, *, synchronous: str, seed: int) -> list[Record]:
    """What the process of cut_main did to its disk."""
    assert COMPILER is not None
    library, journal, place = folder / "journal.so", folder / "journal", folder / "living"
    command = [COMPILER, "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-lpthread"]
    subprocess.run(command, check=True)
    place.mkdir()
    preloaded = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "FAULTS_FOLDER": str(place.resolve()),
        "FAULTS_JOURNAL": str(journal),
    }
    arguments = [str(place.resolve()), str(APPENDS), synchronous, str(seed)]
    subprocess.run(
        [sys.executable, "-m", "tests.faults.cut_main", *arguments],
        cwd=ROOT,
        env=preloaded,
        check=True,
        timeout=CHILD_TIMEOUT_S,
    )
    return list(read_journal(journal))


def examined(folder: Path, files: dict[str, bytes], said: Said) -> Cut:
    """Open the outbox that the cut left, as the next start would, and compare it with what was said."""
    folder.mkdir()
    for name, contents in files.items():
        (folder / name).write_bytes(contents)
    announced = {row.id for row in Recipe().appends(said.committed)}
    try:
        last, found = reopened(folder / DATABASE)
    except OutboxError as error:
        return Cut(
            announced=said.committed,
            rows=len(announced),
            rows_lost=len(announced),
            gaps=0,
            in_order=False,
            damage=str(error),
        )
    there = {*found, *said.given_up}
    rows = sorted(Recipe().appends(last), key=lambda row: KINDS.index(row.kind))
    all_ = {row.id for row in rows}
    return Cut(
        announced=said.committed,
        rows=len(announced),
        rows_lost=len(announced - there),
        gaps=len(all_ - there) + len(there - all_ - said.given_up),
        in_order=found == [row.id for row in rows if row.id in set(found)],
        damage=integrity(folder / DATABASE),
    )


def reopened(path: Path) -> tuple[int, list[str]]:
    """The last sequence, and the ids of the rows that wait, as they would be sent."""
    outbox = Outbox(Database(path, clock=SystemClock()))
    outbox.open()
    try:
        return outbox.last_sequence(), [waiting.row.id for waiting in outbox.lease(1_000_000)]
    finally:
        outbox.close()


def integrity(path: Path) -> str | None:
    """What SQLite finds wrong with the file, or what is broken in its chain."""
    with closing(sqlite3.connect(path)) as database:
        found = database.execute("PRAGMA integrity_check").fetchone()[0]
    return verify(path).first_break if found == "ok" else str(found)
