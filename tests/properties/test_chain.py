"""Whatever is done to a chain of records is found where it was done; what a station does keeps it whole."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.chain.entry import Entry, Unchained, of_payload
from agent.chain.heads import checker
from agent.chain.report import verify
from agent.chain.walk import walk
from agent.chain.walked import Walked
from agent.contract.chain import parted
from agent.contract.payloads import told
from agent.outbox import file as outbox_file
from agent.outbox.cursor import Cursor
from agent.outbox.spool import Limits
from chain import check
from tests.agent.chain.made import KEY, Kept, Station, a_day, kept

DAY = a_day().messages
CHECK = checker([KEY.public_key()])


def number_of(message: bytes) -> int:
    place = parted(message)[1]
    assert place is not None
    return place.number


def checked(messages: list[bytes], **asked: int) -> tuple[list[Walked], bool]:
    """Each segment, and whether something was found to be no record of the chain."""
    found: list[Entry] = []
    odd = False
    for number, message in enumerate(messages, 1):
        try:
            one = of_payload(message, f"line {number}")
        except ValueError:
            odd = True
            continue
        if isinstance(one, Unchained):
            odd = True
        else:
            found.append(one)
    return walk(found, CHECK, **asked), odd


def first_broken(segments: list[Walked]) -> int | None:
    return next((one.broken.number for one in segments if one.broken is not None), None)


@given(st.integers(0, len(DAY) - 1), st.data())
def test_any_byte_of_any_record(place: int, data: st.DataObject) -> None:
    message = bytearray(DAY[place])
    byte = data.draw(st.integers(0, len(message) - 1), label="byte")
    message[byte] ^= data.draw(st.integers(1, 255), label="bits")
    segments, _ = checked([*DAY[:place], bytes(message), *DAY[place + 1 :]])
    broken = first_broken(segments)
    if place in (0, len(DAY) - 1) and broken is None:  # its place was changed, so it is missing at an end
        segments, _ = checked(
            [*DAY[:place], bytes(message), *DAY[place + 1 :]], first=1, last=number_of(DAY[-1])
        )
        broken = first_broken(segments)
    if broken is None:
        assert place == len(DAY) - 1, "nothing is behind it"
        assert segments[0].unproven > 1, "and it signs for nothing any more"
    else:
        assert abs(place - _index(broken)) <= 1, "at the record, or at the link to the one behind"


def _index(number: int) -> int:
    """Of the record that has this number, or whose pictures have it."""
    return max(index for index, one in enumerate(DAY) if number_of(one) <= number)


@given(st.sets(st.integers(1, len(DAY) - 2), min_size=1, max_size=4))
def test_any_records_that_were_removed(places: set[int]) -> None:
    segments, _ = checked([one for index, one in enumerate(DAY) if index not in places])
    assert first_broken(segments) == number_of(DAY[min(places)])


@given(st.integers(0, len(DAY) - 1), st.integers(0, len(DAY) - 1))
def test_any_two_records_whose_places_were_exchanged(one: int, other: int) -> None:
    messages = list(DAY)
    places = [message[message.rindex(b',"chain"') :] for message in DAY]
    contents = [message[: message.rindex(b',"chain"')] for message in DAY]
    messages[one], messages[other] = contents[other] + places[one], contents[one] + places[other]
    segments, _ = checked(messages)
    first = number_of(DAY[min(one, other)])  # or what its other pictures would have been
    assert first_broken(segments) in ((None,) if one == other else (first, first + 1, first + 2))


@given(st.integers(0, len(DAY)), st.integers(0, len(DAY)))
def test_a_range_that_was_cut_at_either_end(first: int, last: int) -> None:
    segments, _ = checked(DAY[first:last], first=1, last=number_of(DAY[-1]))
    whole = first == 0 and last == len(DAY)
    assert (first_broken(segments) is None) is (whole or first >= last)


@given(st.integers(0, len(DAY) - 2), st.sampled_from(["verdict", "event"]))
def test_any_record_that_was_put_in(behind: int, kind: str) -> None:
    place = parted(DAY[behind])[1]
    assert place is not None
    forged = Station(number=place.number, link=place.link(bytes(32)), sequence=90)
    forged.verdict() if kind == "verdict" else forged.event()
    segments, _ = checked([*DAY, *forged.messages])
    assert first_broken(segments) in (place.number, place.number + 1)


class AStationGoesOn(RuleBasedStateMachine):
    """Appends, deliveries, evictions, gateways, restarts and damage, in any order; three readers of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "outbox.sqlite3"
        self.broker: list[bytes] = []
        self.bytes = 0
        self.limits = Limits()
        self.station: Kept = kept(self.path)
        self.clock = self.station.clock

    @rule(crops=st.lists(st.binary(min_size=1, max_size=3000), max_size=3), verdicts=st.integers(1, 4))
    def judge(self, crops: list[bytes], verdicts: int) -> None:
        for _ in range(verdicts):
            self.station.judge(*crops)

    @rule(limit=st.integers(1, 30))
    def deliver(self, limit: int) -> None:
        rows = self.station.outbox.lease(limit)
        self.broker += [told(one).payload for one in rows if one.row.kind != "crop"]
        self.station.outbox.delivered([one.seq for one in rows])

    @rule(seconds=st.sampled_from([1, 61, 4000]))
    def time_goes_by(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.station.notary.look()

    @rule(history_s=st.sampled_from([0, 100, 10_000]), crop_age_s=st.sampled_from([0, 100, 10_000]))
    def tidy(self, history_s: int, crop_age_s: int) -> None:
        self.reopen(Limits(history_s=history_s, crop_age_s=crop_age_s))
        self.station.keeper.tidy()

    @rule(share=st.floats(0.2, 1.0))
    def no_room(self, share: float) -> None:
        pages = self.path.stat().st_size
        self.reopen(Limits(max_bytes=round(share * pages)))
        self.station.keeper.tidy()

    @rule()
    def a_gateway_reads(self) -> None:
        cursor = Cursor(self.station.database, "archive")
        cursor.open()
        if rows := cursor.next(20):
            cursor.advance(rows[-1].seq)
        cursor.close()

    @rule()
    def replay(self) -> None:
        self.station.keeper.replay(1, 1000)
        rows = self.station.outbox.lease(20, kinds=(), replays=20)
        self.broker += [told(one).payload for one in rows]
        self.station.outbox.delivered([one.seq for one in rows])

    @rule()
    def restart(self) -> None:
        self.reopen(Limits())

    @rule(page=st.integers(1, 1 << 30))
    def the_disk_fails(self, page: int) -> None:
        """At the head of a page; a row whose content it changed is broken, and is named in other tests."""
        self.station.notary.stop()
        self.station.close()
        pages = self.path.stat().st_size // 4096
        if pages > 4:
            with self.path.open("r+b") as file:
                file.seek((page % (pages - 1) + 1) * 4096)
                file.write(b"\xa5" * 16)
        outbox_file.suspect(self.path)
        self.station = kept(self.path, clock=self.clock)

    def reopen(self, limits: Limits) -> None:
        self.station.close()
        self.station = kept(self.path, limits=limits, clock=self.clock)

    @invariant()
    def no_link_in_the_outbox_is_broken(self) -> None:
        found = verify(self.path, keys=[KEY.public_key()])
        assert found.first_break is None

    @invariant()
    def every_row_can_be_reached(self) -> None:
        with closing(sqlite3.connect(self.path)) as database:
            number, first = database.execute("SELECT number, first FROM chain").fetchone()
            there = {seq for (seq,) in database.execute("SELECT seq FROM record UNION SELECT seq FROM gone")}
        assert set(range(first, number + 1)) <= there

    def teardown(self) -> None:
        try:
            while rows := self.station.outbox.lease(200):
                self.broker += [told(one).payload for one in rows if one.row.kind != "crop"]
                self.station.outbox.delivered([one.seq for one in rows])
            segments, odd = checked(self.broker)
            assert not odd and first_broken(segments) is None, "what the broker was given is whole"
        finally:
            self.station.close()
            self.folder.cleanup()


AStationGoesOn.TestCase.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAStationGoesOn = pytest.mark.slow(AStationGoesOn.TestCase)


DAMAGES: dict[str, Callable[[AStationGoesOn], object]] = {
    "all of a segment, twice": lambda of: (
        of.deliver(limit=1),
        of.the_disk_fails(page=1),
        of.the_disk_fails(page=1),
    ),
    "all of one that lay elsewhere": lambda of: (
        of.no_room(share=0.5),
        of.the_disk_fails(page=2),
        of.the_disk_fails(page=434219),
    ),
    "every head of one": lambda of: (
        of.deliver(limit=1),
        of.judge(crops=[b"\0"] * 3, verdicts=3),
        of.no_room(share=1.0),
        of.the_disk_fails(page=34502),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_disk_that_takes_all_of_a_segment_or_its_heads_breaks_no_link(damage: str, tmp_path: Path) -> None:
    of = AStationGoesOn()
    try:
        DAMAGES[damage](of)
        of.every_row_can_be_reached()
        of.no_link_in_the_outbox_is_broken()
    finally:
        of.teardown()
    lines = [one.decode() for one in of.broker]
    records = [(f"line {number}", "station", line) for number, line in enumerate(lines, 1)]
    assert check(records, set()).broken == []
