"""What became of a range of verdicts that was asked for again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

RANGES = 200  # in one answer, which a broker may bound to a few kilobytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """Every number of the range is in one of three: replayed, waiting, gone."""

    queued: int  # published once more
    waiting: int  # not delivered yet, or queued once more already: they come by themselves
    gone: tuple[tuple[int, int], ...]  # first and last, of what the station does not have

    def data(self) -> dict[str, JsonValue]:
        """As an answer tells it."""
        data: dict[str, JsonValue] = {
            "replayed": self.queued,
            "waiting": self.waiting,
            "gone": [list(one) for one in self.gone[:RANGES]],
        }
        if len(self.gone) > RANGES:
            data["gone_beyond"] = self.gone[RANGES - 1][1]  # ask from the next number on for the rest
        return data


def sequences(database: sqlite3.Connection, first: int, last: int) -> list[int]:
    """Those of a range that the outbox has, ascending."""
    rows = database.execute(
        """SELECT sequence FROM record WHERE sequence BETWEEN ? AND ?
        AND (+seq IN (SELECT seq FROM history) OR +seq IN (SELECT seq FROM waiting)) ORDER BY sequence""",
        (first, last),
    )  # without the plus SQLite goes through the whole history first
    return [sequence for (sequence,) in rows]


def told(first: int, last: int, *, queued: int, there: Iterable[int]) -> Replayed:
    """From what the outbox has of a range (ascending), and how many of it were queued."""
    gone: list[tuple[int, int]] = []
    expected, held = first, 0
    for sequence in there:
        if sequence > expected:
            gone.append((expected, sequence - 1))
        expected = sequence + 1
        held += 1
    if expected <= last:
        gone.append((expected, last))
    return Replayed(queued=queued, waiting=held - queued, gone=tuple(gone))


def together(parts: Sequence[Replayed]) -> Replayed:
    """Of a range that was asked for in parts, ascending and without a gap between them."""
    gone: list[tuple[int, int]] = []
    for first, last in (one for part in parts for one in part.gone):
        if gone and gone[-1][1] + 1 == first:
            gone[-1] = (gone[-1][0], last)
        else:
            gone.append((first, last))
    return Replayed(
        queued=sum(part.queued for part in parts),
        waiting=sum(part.waiting for part in parts),
        gone=tuple(gone),
    )
