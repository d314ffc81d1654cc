"""What a check of a chain has found, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.chain import sources
from agent.chain.entry import Unchained
from agent.chain.heads import checker
from agent.chain.sources import Odd
from agent.chain.walk import inserted, walk
from agent.chain.walked import Walked
from agent.trust.keys import key_id, short


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Of one place that was checked."""

    path: Path
    segments: tuple[Walked, ...]
    unchained: int  # records of before there was a chain, as far as can be told
    inserted: Unchained | None
    odd: tuple[Odd, ...]
    pictures: int  # files that are what their verdicts name
    trusted: bool  # whether keys were given
    wanted: tuple[int | None, int | None] = (None, None)  # first and last record that were asked for

    @property
    def other_keys(self) -> tuple[str, ...]:
        """More than one key of a station, where nobody has said which are right."""
        by_station: dict[str | None, dict[str, None]] = {}
        for one in self.segments:
            by_station.setdefault(one.station, {}).update(dict.fromkeys(one.keys))
        several = [tuple(keys) for keys in by_station.values() if len(keys) > 1]
        return () if self.trusted or not several else several[0]

    @property
    def first_break(self) -> str | None:
        """In words; None where everything holds."""
        broken = next((one.broken for one in self.segments if one.broken is not None), None)
        if broken is not None:
            return broken.words()
        if self.wanted != (None, None) and not self.segments:
            first, last = self.wanted
            return f"{self.path}: there is no record from {first or 1} to {last or 'the end'}"
        unsigned = next(
            (one for one in self.segments if not (one.heads or one.proven_to or one.goes_on or one.lost_end)),
            None,
        )
        if self.trusted and unsigned is not None:
            return (
                f"{self.path}: no head of a key that was given signs for segment {unsigned.segment}, "
                f"{unsigned.first} to {unsigned.last}"
            )
        if self.inserted is not None:
            return (
                f"{self.inserted.where}: put in: a {self.inserted.kind} without a place in the chain, of a "
                "run of the agent whose other records have one"
            )
        if self.odd:
            return f"{self.odd[0].where}: {self.odd[0].why}"
        if self.other_keys:
            names = ", ".join(map(_named, self.other_keys))
            return (
                f"{self.path}: heads are signed with several keys ({names}); say with --key which are right"
            )
        return None


def verify(
    path: Path,
    *,
    keys: Sequence[Ed25519PublicKey] = (),
    first: int | None = None,
    last: int | None = None,
) -> Report:
    """Check what is at `path`, or its records `first` to `last`. Raises SourceError and OutboxError."""
    source = sources.read(path)
    segments = walk(source.entries, checker(keys), source.known, first=first, last=last)
    return Report(
        path=path,
        segments=tuple(one for one in segments if one.records or one.gone),
        unchained=len(source.unchained),
        inserted=inserted(source.unchained, source.entries),
        odd=tuple(source.odd),
        pictures=source.pictures,
        trusted=bool(keys),
        wanted=(first, last),
    )


def words(report: Report) -> list[str]:
    """A line for each segment, and one for what was found."""
    lines = [_segment(one) for one in report.segments]
    if report.unchained:
        lines.append(f"{report.unchained} records have no place in a chain, as those of an older agent")
    if report.pictures:
        lines.append(f"{report.pictures} pictures are those that their verdicts name")
    keys = sorted({_named(key) for one in report.segments for key in one.keys})
    if keys and not report.trusted:
        lines.append(
            f"signed with key {', '.join(keys)}, as the heads say themselves; give the one that plumbline "
            "station-key shows at the station with --key"
        )
    lines.append(report.first_break or f"{report.path}: no link is broken")
    return lines


def document(report: Report) -> dict[str, Any]:
    """The same as one JSON document."""
    return {
        "path": str(report.path),
        "whole": report.first_break is None,
        "first_break": report.first_break,
        "segments": [
            {
                "segment": one.segment,
                "station": one.station,
                "first": one.first,
                "last": one.last,
                "records": one.records,
                "pictures": one.pictures,
                "gone": one.gone,
                "lost": [list(span) for span in one.lost],
                "heads": one.heads,
                "proven_to": one.proven_to,
                "unproven": one.unproven,
                "keys": list(one.keys),
                "broken": None
                if one.broken is None
                else {
                    "where": one.broken.where,
                    "number": one.broken.number,
                    "sequence": one.broken.sequence,
                    "what": one.broken.what,
                    "expected": one.broken.expected,
                    "stands": one.broken.stands,
                },
            }
            for one in report.segments
        ],
        "unchained": report.unchained,
        "odd": [{"where": one.where, "why": one.why} for one in report.odd],
        "pictures": report.pictures,
        "trusted": report.trusted,
    }


def _segment(one: Walked) -> str:
    told = [f"{one.records} records"]
    if one.pictures:
        told.append(f"{one.pictures} pictures by their verdicts")
    if one.gone:
        told.append(f"{one.gone} that left, by their digests")
    if one.lost:
        spans = ", ".join(f"{first} to {last}" for first, last in one.lost)
        told.append(f"lost with a damaged file: {spans}")
    proof = f"{one.heads} heads, proven to {one.proven_to}" if one.heads else "no head, so nothing is proven"
    if not one.heads and one.proven_to:
        proof = f"proven to {one.proven_to} by the segment behind it"
    if one.heads and one.unproven > 1:
        proof += f", {one.unproven - 1} behind the last head are not yet"
    station = "" if one.station is None else f"{one.station}, "
    return f"{station}segment {one.segment}: {one.first} to {one.last}; {', '.join(told)}; {proof}"


def _named(key: str) -> str:
    return short(key_id(Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))))
