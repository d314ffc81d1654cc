"""What a rollout does next, as pure functions: the record before, and what is heard, give the record after.

The record is durable before anything of it is said, and the broker is made to follow it: what each topic is
to hold stands in the members' last words. Thus a tool that was killed goes on where it was.

A wave is complete when nobody of it is under way any more and enough stations have ended; stations that are
away, or do not answer, are replaced by others, hold nothing up and count nowhere. They are told at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

from models.fleet.plan import (
    BUSY,
    FAILURES,
    FINISHED,
    Heard,
    Member,
    Record,
    Result,
    Standing,
    What,
    Word,
)

UNDER_WAY = frozenset({"pending", "downloading", "verifying", "proving", "staged", "probation"})
_AWAY = Heard()
_RESULT_OF: dict[Standing, Result] = {one: one for one in get_args(Result)}


def decide(record: Record, heard: Mapping[str, Heard], *, now: float, spare: int) -> Record:
    """One step; the same record where there is nothing to do.

    `spare` is a counter that was never used, for documents that take back; seconds are since 1970.
    """
    record = _listened(record, heard, now)
    if record.state != "running":
        return record
    if (why := _reason_to_stop(record, heard)) is not None:
        return stopped(record, why, now=now, spare=spare)
    return _advanced(record, heard, now)


def stopped(record: Record, why: str, *, now: float, spare: int) -> Record:
    """Nothing new is said any more, and nobody who comes back finds what was to be new.

    Whoever runs it keeps it, and its topic is emptied: to take it back is a decision of its own. Everybody
    else who was told is told what was before, with a higher counter, since a session at the broker may still
    hold the document; where we do not know what was before, the topic is emptied.
    """
    members = tuple(
        one
        if one.word is None
        else _told(one, "nothing" if one.result == "applied" or one.before is None else "before", spare, now)
        for one in record.members
    )
    return replace(record, state="stopped", why=why, members=members)


def resumed(record: Record, *, now: float, spare: int) -> Record:
    """A stopped rollout goes on: what failed so far is excused, and is not told again.

    Whoever had not ended waits for its wave once more, and gets a counter above all that was said before.
    """
    members = []
    for one in record.members:
        if one.result == "applied":
            members.append(replace(one, words=(*one.words, _last_new(one)), told_at=now))
        elif one.result in FAILURES:
            members.append(replace(one, is_excused=True))
        else:
            members.append(one)
    return replace(record, state="running", why="", counter=spare, members=tuple(members))


def taken_back(record: Record, *, now: float, spare: int) -> Record:
    """All who were told get what was before, with a higher counter; where that is not known, nothing."""
    members = tuple(
        one if one.word is None else _told(one, "nothing" if one.before is None else "before", spare, now)
        for one in record.members
    )
    return replace(record, state="taken_back", why="taken back", members=members)


def standing(record: Record, member: Member, heard: Heard) -> Standing:
    """How a station stands to its last word, by its own report."""
    word, said = member.word, heard.attempt
    if word is None or word.what == "nothing":
        return "none"
    runs = heard.runs is not None and heard.runs == identity(record, member, word)
    if said is None or (said.issuer, said.epoch, said.counter) != (record.issuer, record.epoch, word.counter):
        is_at_another = said is not None and said.state in UNDER_WAY
        return "applied" if runs and not is_at_another else "none"
    if None not in (said.envelope_sha256, word.sha256) and said.envelope_sha256 != word.sha256:
        return "conflict"
    if said.state in UNDER_WAY:
        return "under_way"
    if said.state in ("applied", "unchanged"):
        return "applied" if runs else "failed"
    if said.state == "rejected":
        return "busy" if said.code == BUSY else "rejected"
    return said.state if said.state in ("failed", "rolled_back") else "overtaken"  # type: ignore[return-value]


def identity(record: Record, member: Member, word: Word) -> str | None:
    """What the station says that it runs when it has taken `word`."""
    if record.kind == "settings":
        return f"{record.issuer}/{record.epoch}/{word.counter}"
    return record.identity if word.what == "new" else member.before_identity


def is_silent(record: Record, member: Member, heard: Heard, now: float) -> bool:
    """Whether a connected station has had long enough to answer, or to come to an end."""
    patience, stands = record.patience, standing(record, member, heard)
    since = now - max(member.told_at, heard.online_since)
    if stands == "busy" and member.word is not None:
        return member.word.times * patience.busy_s > patience.end_s
    return since > (patience.end_s if stands == "under_way" else patience.answer_s)


def under_way(record: Record, heard: Mapping[str, Heard], now: float) -> list[Member]:
    """Whom the wave waits for."""
    found = []
    for one in record.members:
        there = heard.get(one.address, _AWAY)
        is_new = one.word is not None and one.word.what == "new"
        if is_new and one.result is None and there.is_online and not is_silent(record, one, there, now):
            found.append(one)
    return found


def is_followed(record: Record, heard: Mapping[str, Heard], now: float) -> bool:
    """Whether everybody who is connected and was told what was before has taken it, or had the time to."""
    for one in record.members:
        there = heard.get(one.address, _AWAY)
        if one.word is None or one.word.what != "before" or one.returned is not None:
            continue
        if there.is_online and not is_silent(record, one, there, now):
            return False
    return True


def _listened(record: Record, heard: Mapping[str, Heard], now: float) -> Record:
    members = tuple(_with_news(record, one, heard.get(one.address, _AWAY), now) for one in record.members)
    return record if members == record.members else replace(record, members=members)


def _with_news(record: Record, member: Member, heard: Heard, now: float) -> Member:
    stands, word = standing(record, member, heard), member.word
    result = _RESULT_OF.get(stands)
    if word is None or (result is None and stands != "busy"):
        return member
    if result is None:
        if now - member.told_at < record.patience.busy_s:
            return member
        return _last(member, replace(word, times=word.times + 1), now)
    said = heard.attempt
    of_ours = said is not None and said.counter == word.counter
    told = {"code": said.code, "message": said.message} if said is not None and of_ours else {}
    if word.what == "before":
        return member if member.returned == stands else replace(member, returned=result)
    if member.result == stands:
        return member
    if stands == "failed" and said is not None and said.state in ("applied", "unchanged"):
        told["message"] = f"it says {said.state}, and runs another one"
    return replace(member, result=result, **told)  # type: ignore[arg-type]


def _reason_to_stop(record: Record, heard: Mapping[str, Heard]) -> str | None:
    for one in record.members:
        there = heard.get(one.address, _AWAY)
        if there.is_foreign or standing(record, one, there) == "conflict":
            return (
                f"{one.address} was told something else, and not by us: another machine signs as "
                f"{record.issuer}, or another issuer has this address"
            )
    counted = [one for one in record.members if one.result in FINISHED and not one.is_excused]
    failed = [one for one in counted if one.result in FAILURES]
    names = ", ".join(one.address for one in failed[:3]) + (", ..." if len(failed) > 3 else "")
    if record.wave == 0 and len(failed) > record.rule.first_wave_failures:
        return f"{len(failed)} of the first wave failed: {names}"
    if len(counted) >= record.rule.finished and len(failed) > record.rule.share * len(counted):
        share = record.rule.share
        return f"{len(failed)} of {len(counted)} that ended failed, which is above {share:.3g}: {names}"
    return None


def _advanced(record: Record, heard: Mapping[str, Heard], now: float) -> Record:
    waiting = len(under_way(record, heard, now))
    ended = sum(one.result in FINISHED for one in record.members)
    free = [
        one.address for one in record.members if _is_free(one) and heard.get(one.address, _AWAY).is_online
    ]
    wave = record.wave
    has_proof = any(one.result == "applied" for one in record.members)
    if not waiting and (ended >= record.quotas[wave] or (not free and has_proof)):
        if wave == len(record.quotas) - 1 or (not free and has_proof):
            return _closed(record, now)
        wave += 1
    chosen = set(free[: max(record.quotas[wave] - ended - waiting, 0)])
    if wave == record.wave and not chosen:
        return record
    members = tuple(
        _told(one, "new", record.counter, now) if one.address in chosen else one for one in record.members
    )
    return replace(record, wave=wave, members=members)


def _closed(record: Record, now: float) -> Record:
    """Whoever is away finds it when he returns."""
    members = tuple(
        _told(one, "new", record.counter, now) if _is_free(one) else one for one in record.members
    )
    return replace(record, state="finished", wave=len(record.quotas) - 1, members=members)


def _is_free(member: Member) -> bool:
    """Whether it has still to be told what is new."""
    return member.result is None and (member.word is None or member.word.what != "new")


def _told(member: Member, what: What, counter: int, now: float) -> Member:
    word = Word(what=what, counter=counter)
    return replace(member, words=(*member.words, word), told_at=now, returned=None)


def _last(member: Member, word: Word, now: float) -> Member:
    return replace(member, words=(*member.words[:-1], word), told_at=now)


def _last_new(member: Member) -> Word:
    return next(one for one in reversed(member.words) if one.what == "new")
