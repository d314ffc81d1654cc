"""What the segments of a chain say of each other, by the heads with which they begin. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from agent.chain.entry import Entry
from agent.chain.heads import Check
from agent.contract.head import HeadError, HeadStatement

Span: TypeAlias = tuple[int, int]


def said_lost(
    found: Mapping[bytes, Sequence[Entry]], check: Check
) -> Iterable[tuple[bytes, tuple[Span, ...]]]:
    """By the head with which a segment begins, of the one before and of all others of its station.

    A file that is mended for the second time has lost what it had lost at the first.
    """
    for segment, entries in found.items():
        for entry in entries:
            statement = statement_of(entry, check)
            if statement is None or not statement.lost:
                continue
            follows = None if statement.follows is None else bytes.fromhex(statement.follows.segment)
            for other, theirs in found.items():
                if other == follows or (other != segment and station_of(theirs) == statement.station):
                    yield other, statement.lost


def said_ends(found: Mapping[bytes, Sequence[Entry]], check: Check) -> Iterable[tuple[bytes, int]]:
    """Up to where a segment must be there that another one follows: the last head of which that one knows.

    Where the file was lost behind that, the next segment's numbers begin in front of it.
    """
    for entries in found.values():
        for entry in entries:
            statement = statement_of(entry, check)
            if statement is not None and statement.follows is not None:
                end = min(statement.follows.number, entry.chained.number - 1)
                yield bytes.fromhex(statement.follows.segment), end


def said_follows(found: Mapping[bytes, Sequence[Entry]], check: Check) -> Mapping[bytes, list[HeadStatement]]:
    """By the segment that each follows: the heads that sign for its end, though they are in another."""
    made: dict[bytes, list[HeadStatement]] = {}
    for entries in found.values():
        for entry in entries:
            statement = statement_of(entry, check)
            if statement is not None and statement.follows is not None:
                made.setdefault(bytes.fromhex(statement.follows.segment), []).append(statement)
    return made


def statement_of(entry: Entry, check: Check) -> HeadStatement | None:
    try:
        return None if entry.head is None else check(entry.head)
    except HeadError:
        return None  # the walk comes to it, and tells


def whose(entries: Sequence[Entry]) -> str | None:
    """The topic of their station, where that is kept beside them, else its name."""
    return next((one.topic for one in entries if one.topic is not None), None) or station_of(entries)


def station_of(entries: Iterable[Entry]) -> str | None:
    return next((one.station for one in entries if one.station is not None), None)
