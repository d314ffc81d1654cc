"""Any fleet, any behaviour of its stations, any order: waves, the stop rule and whoever is away."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from models.fleet.plan import (
    FAILURES,
    FINISHED,
    Attempt,
    Heard,
    Member,
    Patience,
    Record,
    StopRule,
    quotas,
)
from models.fleet.waves import decide, resumed, taken_back, under_way

PATIENCE = Patience(answer_s=50, end_s=200, busy_s=10)
STATES = ("downloading", "probation", "applied", "rejected", "failed", "rolled_back", "superseded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What happens between two steps, to one station or to the clock."""

    station: int
    what: str
    passes_s: float


moves = st.builds(
    Move,
    station=st.integers(0, 11),
    what=st.sampled_from((*STATES, "away", "back", "busy", "silent")),
    passes_s=st.sampled_from((0.0, 1.0, 20.0, 60.0)),
)
waves = st.lists(st.sampled_from(("1", "2", "5", "5%", "30%", "50%")), min_size=1, max_size=4)
rules = st.builds(
    StopRule,
    first_wave_failures=st.integers(0, 2),
    share=st.sampled_from((0.0, 0.05, 0.2, 0.5)),
    finished=st.integers(1, 6),
)


def begun(total: int, sizes: list[str], rule: StopRule) -> Record:
    return Record(
        id="r",
        kind="bundle",
        issuer="office",
        epoch=1,
        counter=5,
        began_at="",
        expires="",
        content="new",
        identity="new",
        quotas=quotas(tuple(sizes), total),
        rule=rule,
        patience=PATIENCE,
        members=tuple(
            Member(address=f"s{n}", before="old" if n % 3 else None, before_identity="old")
            for n in range(total)
        ),
    )


def moved(heard: Heard, move: Move, member: Member, now: float) -> Heard:
    """A station that says the truth about what it was told."""
    if move.what == "away":
        return replace(heard, is_online=False)
    if move.what == "back":
        return replace(heard, is_online=True, online_since=now)
    if move.what == "silent" or member.word is None or member.word.what == "nothing":
        return heard
    state, code = ("rejected", 429) if move.what == "busy" else (move.what, 200)
    attempt = Attempt(
        issuer="office",
        epoch=1,
        counter=member.word.counter,
        envelope_sha256=None,
        state=state,
        code=code,
        message="",
    )
    runs = ("new" if member.word.what == "new" else "old") if state == "applied" else heard.runs
    return replace(heard, attempt=attempt, runs=runs)


def told(record: Record) -> set[str]:
    return {one.address for one in record.members if one.word is not None and one.word.what == "new"}


def must_stop(record: Record) -> bool:
    """The rule in its plain words."""
    ended = [one.result for one in record.members if one.result in FINISHED and not one.is_excused]
    bad = sum(one in FAILURES for one in ended)
    if record.wave == 0 and bad > record.rule.first_wave_failures:
        return True
    return len(ended) >= record.rule.finished and bad / len(ended) > record.rule.share if ended else False


@settings(deadline=None)
@given(st.integers(1, 12), waves, rules, st.lists(moves, max_size=60))
def test_no_wave_begins_before_the_one_before_is_complete_and_the_rule_fires_exactly(
    total: int, sizes: list[str], rule: StopRule, course: list[Move]
) -> None:
    record, now = begun(total, sizes, rule), 0.0
    heard = {one.address: Heard(is_online=True, runs="old") for one in record.members}
    for spare, move in enumerate(course, start=100):
        now += move.passes_s
        name = f"s{move.station % total}"
        member = next(one for one in record.members if one.address == name)
        heard[name] = moved(heard[name], move, member, now)
        before, record = record, decide(record, heard, now=now, spare=spare)
        if before.state != "running":
            assert told(record) == told(before), "nothing new is said any more"
            continue
        assert (record.state == "stopped") == must_stop(replace(record, wave=before.wave))
        if record.state == "stopped":
            assert not told(record), "nobody who comes back finds it"
            continue
        if record.wave > before.wave or record.state == "finished":
            assert not under_way(record.__class__(**_fields(before, record)), heard, now)
            complete = sum(one.result in FINISHED for one in record.members) >= before.quotas[before.wave]
            free = {one for one, there in heard.items() if there.is_online} - told(before)
            ended = {one.address for one in record.members if one.result is not None}
            assert complete or not (free - ended)
            assert any(one.result == "applied" for one in record.members) or complete
        if record.state == "running":
            new = told(record) - told(before)
            assert all(heard[one].is_online for one in new), "whoever is away waits for the end"
            ended_now = sum(one.result in FINISHED for one in record.members)
            if new:
                assert ended_now + len(under_way(record, heard, now)) <= record.quotas[record.wave]


def _fields(before: Record, after: Record) -> dict[str, object]:
    """The members that `before` had told, with the news of `after`."""
    was_told = told(before)
    members = tuple(replace(one, words=()) if one.address not in was_told else one for one in after.members)
    names = Record.__dataclass_fields__
    return {**{name: getattr(after, name) for name in names}, "members": members}


@settings(deadline=None)
@given(st.integers(2, 12), waves, st.sets(st.integers(0, 11)), st.integers(0, 30))
def test_stations_that_are_away_never_block(
    total: int, sizes: list[str], away: set[int], vanish_at: int
) -> None:
    """All who are there end well; some are away from the start, one vanishes: the rollout ends."""
    away &= set(range(1, total))
    record, now = begun(total, sizes, StopRule()), 0.0
    heard = {one.address: Heard(is_online=n not in away, runs="old") for n, one in enumerate(record.members)}
    for step in range(200):
        if step == vanish_at and total - len(away) > 1:
            last = max(set(range(total)) - away)
            heard[f"s{last}"] = replace(heard[f"s{last}"], is_online=False)
        record, now = decide(record, heard, now=now, spare=100), now + 1.0
        if record.state != "running":
            break
        for one in record.members:
            if heard[one.address].is_online and one.word is not None:
                move = Move(station=0, what="applied", passes_s=0)
                heard[one.address] = moved(heard[one.address], move, one, now)
    assert record.state == "finished"
    assert told(record) == {f"s{n}" for n in range(total)}, "whoever is away finds it when he returns"


@settings(deadline=None)
@given(st.integers(1, 12), waves, st.lists(moves, max_size=40), st.integers(0, 40), st.booleans())
def test_counters_of_a_station_only_rise_but_for_the_same_document_again(
    total: int, sizes: list[str], course: list[Move], intervene_at: int, goes_back: bool
) -> None:
    record, now = begun(total, sizes, StopRule()), 0.0
    heard = {one.address: Heard(is_online=True, runs="old") for one in record.members}
    for step, move in enumerate(course):
        now += move.passes_s
        name = f"s{move.station % total}"
        member = next(one for one in record.members if one.address == name)
        heard[name] = moved(heard[name], move, member, now)
        record = decide(record, heard, now=now, spare=100 + 2 * step)
        if step == intervene_at and record.state == "stopped":
            change = taken_back if goes_back else resumed
            record = change(record, now=now, spare=101 + 2 * step)
    for one in record.members:
        seen: list[int] = []
        for word in one.words:
            if word.what == "nothing":
                continue
            assert not seen or word.counter > max(seen) or (word.what == "new" and word.counter in seen)
            seen.append(word.counter)
