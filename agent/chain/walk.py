"""Along a chain from record to record: what is proven, what is missing, and the first broken link. Pure.

A record is proven when a signed head stands behind it and every link up to that head fits. What left with its
digest kept, and pictures whose verdict names them, are gone over; what a signed head says was lost is a gap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from agent.chain.entry import Entry, Unchained
from agent.chain.heads import Check
from agent.chain.segments import Span, said_ends, said_follows, said_lost, statement_of, whose
from agent.chain.walked import NOTHING, Break, Known, Walked
from agent.contract.chain import BEGINNING, Chained
from agent.contract.head import HeadError, HeadStatement


def walk(
    entries: Iterable[Entry],
    check: Check,
    known: Known = NOTHING,
    *,
    first: int | None = None,
    last: int | None = None,
) -> list[Walked]:
    """Each segment, in the order in which they begin; of `first` to `last` where they are given."""
    found: dict[bytes, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[entry.chained.segment].append(entry)
    lost = dict(known.lost)
    for segment, spans in said_lost(found, check):
        lost[segment] = (*lost.get(segment, ()), *spans)
    ends = dict.fromkeys(found.keys() - known.tips.keys(), 0) if known.tips else {}
    ends.update(said_ends(found, check))
    follows = said_follows(found, check)
    made = []
    for segment, ours in found.items():
        ours.sort(key=lambda one: one.chained.number)
        walking = _Walk(
            segment,
            ours,
            check,
            known,
            lost=lost.get(segment, ()),
            end=ends.get(segment),
            followed=follows.get(segment, ()),
        )
        made.append(walking.walked(first, last))
    if (first, last) == (None, None):
        made = [_with_what_it_follows(one, found, check) for one in made]
    return sorted(made, key=lambda one: (one.station or "", one.first))


def _with_what_it_follows(one: Walked, found: Mapping[bytes, Sequence[Entry]], check: Check) -> Walked:
    """Broken where the segment that it follows is not there at all, and an older one of its station is.

    Not where all numbers between the two were lost with a file, as its own head says.
    """
    ours = found[bytes.fromhex(one.segment)]
    statement = statement_of(ours[0], check)
    if one.broken is not None or statement is None or statement.follows is None:
        return one
    older = [
        theirs[-1].chained.number
        for theirs in found.values()
        if theirs is not ours and whose(theirs) == whose(ours) and theirs[0].chained.number < one.first
    ]
    if bytes.fromhex(statement.follows.segment) in found or not older:
        return one
    if any(first <= max(older) + 1 and one.first - 1 <= last for first, last in statement.lost):
        return one
    missing = Break(
        where=ours[0].where,
        segment=one.segment,
        number=one.first,
        sequence=None,
        what="the segment that it follows is missing",
        expected=f"segment {statement.follows.segment}, up to {statement.follows.number}",
        stands="older ones",
    )
    return replace(one, broken=missing)


def inserted(unchained: Iterable[Unchained], entries: Iterable[Entry]) -> Unchained | None:
    """The first record without a place that must have one: others of the same run of the agent do."""
    runs = {entry.boot_id for entry in entries if entry.boot_id is not None}
    return next((one for one in unchained if one.boot_id in runs), None)


class _Walk:
    """Along one segment."""

    def __init__(
        self,
        segment: bytes,
        entries: Sequence[Entry],
        check: Check,
        known: Known,
        *,
        lost: tuple[Span, ...],
        end: int | None,
        followed: Sequence[HeadStatement],
    ) -> None:
        """`end`: up to where it must be there at least, where others follow it; None: it is the last.

        `followed` are heads of others that sign for the end of this one.
        """
        self._segment = segment
        self._entries = entries
        self._check = check
        self._tip = known.tips.get(segment)
        self._from = known.firsts.get(segment, 0)
        self._lost = lost
        self._ends = end
        self._followed = followed
        self._gone_over: list[Span] = []
        self._pictures = 0
        self._keys: dict[str, None] = {}
        self._heads = self._proven_to = 0

    def walked(self, first: int | None, last: int | None) -> Walked:
        entries = self._within(first, last)
        broken = self._break(entries, first or 0, last)
        return Walked(
            segment=self._segment.hex(),
            station=whose(self._entries),
            first=entries[0].chained.number if entries else 0,
            last=entries[-1].chained.number if entries else 0,
            records=sum(not one.gone for one in entries),
            pictures=self._pictures,
            gone=sum(one.gone for one in entries),
            lost=tuple(self._gone_over),
            heads=self._heads,
            proven_to=self._proven_to,
            keys=tuple(self._keys),
            goes_on=self._tip is not None,
            lost_end=bool(entries) and self._lost_end(entries[-1].chained.number),
            broken=broken,
        )

    def _within(self, first: int | None, last: int | None) -> list[Entry]:
        """Those of the range, and what is behind it up to the head that signs for its end."""
        entries = [one for one in self._entries if first is None or one.chained.number >= first]
        if last is None:
            return entries
        heads = (one.chained.number for one in entries if one.head is not None)
        end = next((number for number in heads if number > last), last)
        return [one for one in entries if one.chained.number <= end]

    def _break(self, entries: Sequence[Entry], first: int, last: int | None) -> Break | None:
        if not entries:
            return None
        begin = entries[0].chained.number
        wanted = max(first, self._from)
        begins_here = entries[0].chained.previous == BEGINNING
        if wanted and begin > wanted and not begins_here and not self._is_lost(wanted, begin - 1):
            return self._missing(entries[0], wanted, begin - 1)
        before: Entry | None = None
        for place, entry in enumerate(entries):
            broken = self._of_itself(entry)
            if broken is None and before is not None:
                broken = self._step(before, entry, entries[place + 1 : place + 2])
            if broken is not None:
                return broken
            broken = self._at_its_end(entry)
            if broken is not None:
                return broken
            self._count(entry)
            if before is None or entry.chained.number > before.chained.number:
                before = entry
        return self._end(entries[-1], last)

    def _of_itself(self, entry: Entry) -> Break | None:
        if entry.problem is not None:
            return self._at(entry, entry.problem, "what was committed", "something else")
        if entry.chained.number == 1 and entry.chained.previous != BEGINNING:
            return self._at(entry, "the first record follows another", BEGINNING.hex(), _previous(entry))
        if entry.head is None:
            return None
        try:
            statement = self._check(entry.head)
        except HeadError as error:
            return self._at(entry, f"head: {error}", "a head that the station's key signed", "another")
        signed = Chained(
            segment=bytes.fromhex(statement.segment),
            number=statement.number + 1,
            previous=bytes.fromhex(statement.link),
        )
        if signed != entry.chained:
            what = "the head signs for another place than its own"
            return self._at(entry, what, signed.words(), entry.chained.words())
        return None

    def _count(self, entry: Entry) -> None:
        if entry.head is not None:
            statement = self._check(entry.head)
            self._keys[statement.key] = None
            self._heads += 1
            self._proven_to = max(self._proven_to, statement.number)

    def _at_its_end(self, entry: Entry) -> Break | None:
        """The segment behind this one says with which link it ended, signed."""
        for statement in self._followed:
            end = statement.follows
            if end is None or end.number != entry.chained.number:
                continue
            if end.link != entry.link.hex():
                what = "its content is not what the segment behind it follows"
                return self._at(entry, what, end.link, entry.link.hex())
            self._keys[statement.key] = None
            self._proven_to = max(self._proven_to, end.number)
        return None

    def _step(self, before: Entry, entry: Entry, behind: Sequence[Entry]) -> Break | None:
        """From one record to the next that is there."""
        first, last = before.chained.number + 1, entry.chained.number - 1
        if last < first - 1:  # it came twice
            if entry.link == before.link:
                return None
            return self._at(entry, "two records have this number", before.link.hex(), entry.link.hex())
        link = _over(before, last - first + 1)
        if link is None:
            too_many = len(before.pictures) > last - first
            first += 0 if too_many else len(before.pictures)
            if self._is_lost(first, last):
                self._gone_over.append((first, last))
                return None
            return self._missing(entry, first, last, before if too_many else None)
        if entry.chained.previous == link:
            self._pictures += last - first + 1
            return None
        if behind and _over(entry, behind[0].chained.number - entry.chained.number - 1) not in (
            None,
            behind[0].chained.previous,
        ):
            return self._at(entry, "it does not follow the record before", link.hex(), _previous(entry))
        what = "its content is not what the next record was chained to"
        return self._at(before, what, _previous(entry), link.hex())

    def _end(self, entry: Entry, last: int | None) -> Break | None:
        number = entry.chained.number
        if self._tip is not None and (last is None or last > number):
            end, link = self._tip
            if end > number:
                return self._missing(entry, number + 1, end)
            if entry.link != link:
                what = "its content is not what the end of the chain says"
                return self._at(entry, what, link.hex(), entry.link.hex())
        named, wanted = number + len(entry.pictures), last or 0
        if self._ends is not None:
            wanted = self._ends if last is None else min(last, self._ends)
        if wanted > named and not self._is_lost(named + 1, wanted):
            return self._missing(entry, named + 1, wanted)
        return None

    def _is_lost(self, first: int, last: int) -> bool:
        """Whether all of them are; spans of a file follow each other and do not touch."""
        return any(begin <= first and last <= end for begin, end in self._lost)

    def _lost_end(self, last: int) -> bool:
        ends = [(one.follows.number, one.lost) for one in self._followed if one.follows is not None]
        return any(
            end > last and any(begin <= last + 1 and end <= stop for begin, stop in lost)
            for end, lost in ends
        )

    def _missing(self, beside: Entry, first: int, last: int, before: Entry | None = None) -> Break:
        more = "" if first == last else f", and so are those behind it up to {last}"
        if before is not None:
            more += f"; or verdict {before.sequence} in front of it names more pictures than it did"
        return Break(
            where=beside.where,
            segment=self._segment.hex(),
            number=first,
            sequence=None,
            what=f"it is missing{more}",
            expected="a record, or its digest",
            stands=f"nothing beside record {beside.chained.number}",
        )

    def _at(self, entry: Entry, what: str, expected: str, stands: str) -> Break:
        return Break(
            where=entry.where,
            segment=self._segment.hex(),
            number=entry.chained.number,
            sequence=entry.sequence,
            what=what,
            expected=expected,
            stands=stands,
        )


def _over(entry: Entry, between: int) -> bytes | None:
    """The link behind a record and the pictures that follow it; None where others must have followed, too."""
    if between == 0:
        return entry.link
    if between != len(entry.pictures):
        return None
    link, number = entry.link, entry.chained.number
    for picture in entry.pictures:
        number += 1
        place = Chained(segment=entry.chained.segment, number=number, previous=link)
        link = place.link(picture.sha256)
    return link


def _previous(entry: Entry) -> str:
    return entry.chained.previous.hex()
