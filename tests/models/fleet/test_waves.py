"""The order of a rollout: waves one after the other, the rule that stops it, and stations that are away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.fleet.plan import Attempt, Heard, Member, Patience, Record, StopRule, Word, quotas
from models.fleet.waves import (
    decide,
    identity,
    is_followed,
    resumed,
    standing,
    stopped,
    taken_back,
    under_way,
)

NOW = 1000.0
PATIENCE = Patience(answer_s=60, end_s=600, busy_s=10)


def record(total: int, *waves: str, before: str | None = "old", kind: str = "bundle") -> Record:
    return Record(
        id="r1",
        kind=kind,  # type: ignore[arg-type]
        issuer="office",
        epoch=1,
        counter=5,
        began_at="2026-01-01T00:00:00.000Z",
        expires="2026-02-01T00:00:00.000Z",
        content="new",
        identity="new" if kind == "bundle" else None,
        quotas=quotas(waves or ("1", "5%", "25%", "rest"), total),
        rule=StopRule(),
        patience=PATIENCE,
        members=tuple(Member(address=f"s{n}", before=before, before_identity=before) for n in range(total)),
    )


def said(state: str, counter: int = 5, *, code: int = 200, runs: str | None = None, **more: object) -> Heard:
    attempt = Attempt(
        issuer="office",
        epoch=1,
        counter=counter,
        envelope_sha256=None,
        state=state,
        code=code,
        message="",
    )
    found = Heard(is_online=True, attempt=attempt, runs=runs or ("new" if state == "applied" else "old"))
    return replace(found, **more)  # type: ignore[arg-type]


ONLINE = Heard(is_online=True, runs="old")
AWAY = Heard(is_online=False)


class Fleet:
    """What is heard of the members of a record, and the record as it goes on."""

    def __init__(self, started: Record) -> None:
        self.record = started
        self.heard = {one.address: ONLINE for one in started.members}
        self.now = NOW
        self.spare = 100

    def turn(self) -> set[str]:
        """Who is told what is new in this step."""
        before = self.new()
        self.record = decide(self.record, self.heard, now=self.now, spare=self.spare)
        self.spare += 1
        return self.new() - before

    def settle(self) -> None:
        for _ in range(20):
            self.turn()

    def new(self) -> set[str]:
        return {one.address for one in self.record.members if one.word and one.word.what == "new"}

    def member(self, address: str) -> Member:
        return next(one for one in self.record.members if one.address == address)

    def word(self, address: str) -> tuple[str, int] | None:
        word = self.member(address).word
        return None if word is None else (word.what, word.counter)

    def end(self, state: str, *addresses: str) -> None:
        for one in addresses or self.new():
            word = self.member(one).word
            assert word is not None
            self.heard[one] = said(state, word.counter)


def test_waves_grow_from_one_station_to_the_rest() -> None:
    assert quotas(("1", "5%", "25%", "rest"), 200) == (1, 11, 61, 200)
    assert quotas(("1", "5%", "25%", "rest"), 3) == (1, 2, 3)
    assert quotas(("1", "5%", "25%", "rest"), 1) == (1,)
    assert quotas(("2", "50%"), 10) == (2, 7, 10)


@pytest.mark.parametrize("wave", ["0", "-1", "101%", "0%", "many", "", "٣", "1.5"])
def test_what_is_no_wave_is_said(wave: str) -> None:
    with pytest.raises(ValueError, match="is no wave"):
        quotas((wave,), 10)


def test_a_good_rollout_goes_through_its_waves_and_ends() -> None:
    fleet = Fleet(record(100))
    sizes = []
    while fleet.record.state == "running":
        told = fleet.turn()
        sizes += [len(told)] if told else []
        fleet.end("applied")
    assert sizes == [1, 5, 25, 69]
    assert fleet.record.state == "finished"


@pytest.mark.parametrize("state", ["pending", "downloading", "verifying", "proving", "staged", "probation"])
def test_a_message_that_was_taken_completes_no_wave(state: str) -> None:
    fleet = Fleet(record(10))
    assert len(fleet.turn()) == 1
    fleet.end(state)
    fleet.settle()
    assert len(fleet.new()) == 1


@pytest.mark.parametrize("state", ["rejected", "failed", "rolled_back"])
def test_any_failure_in_the_first_wave_stops_it(state: str) -> None:
    fleet = Fleet(record(10))
    (first,) = fleet.turn()
    fleet.end(state)
    fleet.turn()
    assert fleet.record.state == "stopped"
    assert "first wave" in fleet.record.why and first in fleet.record.why
    assert fleet.word(first) == ("before", 101)


def test_failures_stop_it_above_their_share_and_not_at_it() -> None:
    fleet = Fleet(record(100, "20", "rest"))
    fleet.record = replace(fleet.record, wave=1)
    fleet.settle()
    assert len(fleet.new()) == 100
    fleet.end("applied", *(f"s{n}" for n in range(19)))
    fleet.end("failed", "s19")
    fleet.turn()
    assert fleet.record.state == "running", "1 of 20 is 5 %"
    fleet.end("failed", "s20")
    fleet.turn()
    assert fleet.record.state == "stopped"
    assert "2 of 21" in fleet.record.why


def test_a_share_says_nothing_before_enough_have_ended() -> None:
    fleet = Fleet(record(10, "1", "rest"))
    fleet.record = replace(fleet.record, wave=1)
    fleet.settle()
    fleet.end("failed", "s0", "s1")
    fleet.end("applied", "s2", "s3")
    fleet.turn()
    assert fleet.record.state == "running"
    fleet.end("applied", "s4")
    fleet.turn()
    assert fleet.record.state == "stopped"


def test_stations_that_are_away_neither_block_nor_count_and_are_told_at_the_end() -> None:
    fleet = Fleet(record(10))
    for one in ("s0", "s1", "s5"):
        fleet.heard[one] = AWAY
    for _ in range(30):
        assert not {"s0", "s1", "s5"} & fleet.new() or fleet.record.state == "finished"
        fleet.turn()
        fleet.end("applied", *(fleet.new() - {"s0", "s1", "s5"}))
    assert fleet.record.state == "finished"
    assert fleet.word("s0") == ("new", 5) and fleet.member("s0").result is None


def test_a_station_that_vanishes_is_replaced_in_its_wave() -> None:
    fleet = Fleet(record(10))
    (first,) = fleet.turn()
    fleet.heard[first] = AWAY
    (second,) = fleet.turn()
    assert second != first
    fleet.heard[first] = said("probation")
    fleet.end("applied", second)
    assert fleet.turn() == set(), "it is back, and its wave waits for it"
    fleet.end("applied", first)
    fleet.settle()
    assert fleet.record.wave == 2


def test_a_station_that_does_not_answer_holds_nothing_up_for_longer_than_the_patience() -> None:
    fleet = Fleet(record(10))
    (first,) = fleet.turn()
    fleet.now += 60
    assert fleet.turn() == set()
    fleet.now += 1
    (second,) = fleet.turn()
    assert second != first and fleet.member(first).result is None
    fleet.end("failed", first)  # late, and counted all the same
    fleet.turn()
    assert fleet.record.state == "stopped"


def test_a_station_that_never_comes_to_an_end_holds_nothing_up_for_ever() -> None:
    fleet = Fleet(record(10))
    (first,) = fleet.turn()
    fleet.end("downloading")
    fleet.now += 600
    assert fleet.turn() == set()
    fleet.now += 1
    assert first not in fleet.turn() != set()


def test_with_nobody_there_nothing_is_published_at_all() -> None:
    fleet = Fleet(record(5))
    fleet.heard = {}
    fleet.settle()
    assert fleet.record.state == "running" and fleet.new() == set()
    fleet.heard["s3"] = ONLINE
    assert fleet.turn() == {"s3"}


def test_a_station_that_is_busy_is_told_again_and_not_counted() -> None:
    fleet = Fleet(record(10))
    (first,) = fleet.turn()
    fleet.heard[first] = said("rejected", code=429)
    fleet.turn()
    assert fleet.member(first).word == Word(what="new", counter=5)
    fleet.now += 10
    fleet.turn()
    assert fleet.member(first).word == Word(what="new", counter=5, times=2)
    assert fleet.record.state == "running" and len(fleet.new()) == 1


def test_who_is_overtaken_counts_nowhere_and_is_replaced() -> None:
    fleet = Fleet(record(10))
    (first,) = fleet.turn()
    fleet.end("superseded")
    (second,) = fleet.turn()
    assert fleet.member(first).result == "overtaken"
    assert fleet.record.wave == 0 and second != first


def test_a_station_that_says_applied_and_runs_another_one_has_failed() -> None:
    fleet = Fleet(record(10))
    (first,) = fleet.turn()
    fleet.heard[first] = said("applied", runs="old")
    fleet.turn()
    assert fleet.record.state == "stopped"
    assert fleet.member(first).message == "it says applied, and runs another one"


def test_an_old_report_of_another_counter_is_no_answer() -> None:
    fleet = Fleet(record(10))
    (first,) = fleet.turn()
    fleet.heard[first] = said("applied", 4, runs="old")
    fleet.settle()
    assert fleet.member(first).result is None and len(fleet.new()) == 1


def test_the_same_counter_with_another_content_stops_it() -> None:
    fleet = Fleet(record(10))
    (first,) = fleet.turn()
    words = (Word(what="new", counter=5, sha256="ours"),)
    members = tuple(replace(one, words=words) if one.words else one for one in fleet.record.members)
    fleet.record = replace(fleet.record, members=members)
    attempt = said("applied").attempt
    assert attempt is not None
    fleet.heard[first] = replace(ONLINE, attempt=replace(attempt, envelope_sha256="theirs"))
    fleet.turn()
    assert fleet.record.state == "stopped" and "another machine signs as office" in fleet.record.why


def test_a_stop_leaves_what_is_new_on_no_topic() -> None:
    fleet = Fleet(record(10, "4", "rest"))
    fleet.turn()
    fleet.heard["s3"] = AWAY
    fleet.end("applied", "s0")
    fleet.end("probation", "s1")
    fleet.turn()
    members = tuple(replace(one, before=None) if one.address == "s2" else one for one in fleet.record.members)
    fleet.record = stopped(replace(fleet.record, members=members), "why", now=NOW, spare=9)
    assert fleet.word("s0") == ("nothing", 9), "it runs it, and keeps it"
    assert fleet.word("s1") == ("before", 9), "it is at it, and is overtaken"
    assert fleet.word("s2") == ("nothing", 9), "nobody knows what it ran before"
    assert fleet.word("s3") == ("before", 9), "a session at the broker may hold the document"
    assert fleet.word("s9") is None


def test_a_resumed_rollout_excuses_what_failed_and_goes_on_in_its_wave() -> None:
    fleet = Fleet(record(40, "1", "8", "rest"))
    fleet.turn()
    fleet.end("applied")
    fleet.settle()
    fleet.end("failed", "s1", "s2")
    fleet.end("applied", "s3", "s4", "s5")
    fleet.turn()
    assert fleet.record.state == "stopped"
    fleet.record = resumed(fleet.record, now=NOW, spare=50)
    fleet.heard["s6"] = said("applied", 5, runs="old")  # it went back to what was before
    assert fleet.word("s0") == ("new", 5), "as it was, so that it says unchanged"
    assert fleet.turn() >= {"s6", "s7", "s8"}
    assert fleet.word("s6") == ("new", 50), "above what took it back"
    assert fleet.word("s1") == ("before", 121) and fleet.member("s1").is_excused
    fleet.end("applied", "s6", "s7", "s8")
    fleet.settle()
    assert fleet.record.state == "running" and len(fleet.new()) == 38


def test_the_way_back_is_a_higher_counter_for_all_who_were_told() -> None:
    fleet = Fleet(record(4, "2", "rest"))
    fleet.turn()
    fleet.end("applied")
    fleet.record = taken_back(fleet.record, now=NOW, spare=30)
    assert [fleet.word(one) for one in ("s0", "s1", "s2")] == [("before", 30), ("before", 30), None]
    fleet.heard["s0"] = said("applied", 30, runs="old")
    fleet.heard["s1"] = said("rejected", 30, code=429, runs="new")
    assert not is_followed(fleet.record, fleet.heard, NOW)
    fleet.now += 10
    fleet.turn()
    again = fleet.member("s1").word
    assert again is not None and again.times == 2, "it was busy, and is told again"
    fleet.heard["s1"] = said("applied", 30, runs="old")
    fleet.turn()
    assert is_followed(fleet.record, fleet.heard, NOW)
    assert {fleet.member(one).returned for one in ("s0", "s1")} == {"applied"}


def test_settings_are_known_by_their_counter() -> None:
    fleet = Fleet(record(3, kind="settings"))
    (first,) = fleet.turn()
    member = fleet.member(first)
    assert member.word is not None
    assert identity(fleet.record, member, member.word) == "office/1/5"
    assert standing(fleet.record, member, said("applied", runs="office/1/4")) == "failed"
    assert standing(fleet.record, member, said("applied", runs="office/1/5")) == "applied"
    later = replace(said("rejected", 2, code=409), runs="office/1/5")
    assert standing(fleet.record, member, later) == "applied", "an older document was refused since"
    assert under_way(fleet.record, fleet.heard, NOW) == [member]
