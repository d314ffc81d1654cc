"""The words and the exit code of `consumer.py gaps`: what is missing, what is gone, and who lives."""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timezone

from gaps import Gap, Gone, Island, find_gaps, without_gone
from life import Life, describe
from station import ANSWER_TIMEOUT_S, heal
from store import Database

ALL_THERE, MISSING, NO_PROOF_OF_LIFE = 0, 1, 3
LOOK_EVERY_S = 0.25


def report(options: argparse.Namespace, database: Database) -> int:
    """Print every station and gap, have them healed if asked, and give the exit code."""
    lives = database.lives()
    for life in lives:
        print(describe(life, datetime.now(timezone.utc)))
    gaps = _look(database)
    _tell(gaps)
    if options.heal and any(not gap.gone for gap in gaps):
        _have_healed(options, database, gaps)
        gaps = _look(database)
        print("after healing:")
        _tell(gaps)
    missing = sum(not gap.gone for gap in gaps)
    lost = sum(gap.last - gap.first + 1 for gap in gaps if gap.gone)
    print(
        f"{missing} gaps in {len(lives)} stations" + (f"; {lost} verdicts are gone for good" if lost else "")
    )
    if not lives:
        print("no station is known: does `run` listen to the right broker, and has any station ever spoken?")
    return verdict(gaps, lives)


def verdict(gaps: Sequence[Gap], lives: Sequence[Life]) -> int:
    """The exit code."""
    if any(not gap.gone for gap in gaps):
        return MISSING
    return NO_PROOF_OF_LIFE if not lives or any(life.is_alarming for life in lives) else ALL_THERE


def _look(database: Database) -> list[Gap]:
    by_source: dict[str, list[Island]] = defaultdict(list)
    for island in database.islands():
        by_source[island.source].append(island)
    gaps = [gap for islands in by_source.values() for gap in find_gaps(islands)]
    return without_gone(gaps, database.gone())


def _tell(gaps: Sequence[Gap]) -> None:
    for gap in gaps:
        lost = "" if gap.current else "; of an earlier numbering, the station has it no more"
        state = "gone for good" if gap.gone else "missing"
        count = gap.last - gap.first + 1
        print(f"{gap.source} before boot {gap.boot_id}: {gap.first} to {gap.last} {state} ({count}){lost}")


def _have_healed(options: argparse.Namespace, database: Database, gaps: Sequence[Gap]) -> None:
    """Ask for what there may be, note what there is no more, and wait for what is on its way to `run`."""
    database.note_gone([Gone(*gap[:4]) for gap in gaps if not gap.gone and not gap.current])
    wanted = [gap for gap in gaps if not gap.gone and gap.current]
    if not wanted:
        return
    healing = heal(options, wanted)
    database.note_gone(healing.gone)
    if not healing.replayed:
        return
    last_missing, deadline = -1, time.monotonic() + ANSWER_TIMEOUT_S
    while time.monotonic() < deadline:
        missing = sum(gap.last - gap.first + 1 for gap in _look(database) if not gap.gone)
        if not missing:
            return
        if missing != last_missing:
            last_missing, deadline = missing, time.monotonic() + ANSWER_TIMEOUT_S
        time.sleep(LOOK_EVERY_S)
    print(f"nothing more came within {ANSWER_TIMEOUT_S:.0f} s: `consumer.py run` stores it, does it run?")
