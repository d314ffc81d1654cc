"""The rollout of a bundle on one station: a table of states as one pure function, and what a start does.

`step` answers an event, `start` what the process before left. Both say which record is next, and what is to
be done then: the record is durable *before* any of that is done, so that a start finds what was meant and has
the links follow it. What a state owes can be done again without harm.

An event names its transaction: one that belongs to another, or comes late or twice, changes nothing. Nothing
here depends on a broker: that a report was stored moves the state, that it was delivered does not.
"""

from __future__ import annotations

from dataclasses import replace

from agent.remote.rollout.transaction import (
    LIMITS,
    Action,
    Answer,
    Boundary,
    Breached,
    Cancelled,
    Do,
    Event,
    Failure,
    Happened,
    Limits,
    Links,
    Offered,
    Outcome,
    Point,
    Problem,
    Progressed,
    Record,
    Refused,
    Seen,
    State,
    Step,
    Stopped,
    TakeUp,
    TimeSeen,
)

MAY_END = ("downloading", "verifying", "staged")  # by a newer instruction, or when somebody cancels it
COUNTED = ("verifying", "proving", "probation")  # a death in one of these may be the bundle's doing


def step(record: Record, event: Event, limits: Limits = LIMITS) -> Step:
    """One arrow of the table; what has no arrow changes nothing."""
    match event:
        case Offered():
            return _offered(record, event, limits)
        case TimeSeen(at=at):
            return Step(record=_later(record, at))
        case Stopped():
            return Step(record=record if record.state == "idle" else replace(record, is_stopped=True))
    own = record.instruction is not None and event.transaction == record.instruction.transaction
    if not own or record.state == "idle":
        return Step(record=record)
    match record.state, event:
        case "downloading", Happened(what="present"):
            return _to("verifying", record)
        case "downloading", Progressed(bytes_done=bytes_done, deadline_s=deadline_s):
            return Step(record=replace(record, bytes_done=bytes_done, deadline_s=deadline_s))
        case "downloading" | "staged", Refused(problem=problem):  # lost bytes and a lost window are no fault
            return _failed(record, "failed", problem)
        case "verifying" | "proving", Happened(what="verified"):
            return Step(record=replace(record, state="proving"), actions=(Do(what="place"), Do(what="prove")))
        case "verifying" | "proving", Refused(problem=problem, proof=proof):
            return _failed(replace(_remembered(record, problem, limits), proof=proof), "failed", problem)
        case "proving", Happened(what="proven", proof=proof):
            return _to("staged", replace(record, proof=proof))
        case "staged", Boundary(current=current, previous=previous, baseline=baseline):
            tried = replace(record, attempts=record.attempts + 1, previous=current, former=previous)
            return _to("probation", replace(tried, baseline=baseline))
        case "probation", Happened(what="stable"):
            return _to("committed", replace(record, outcome="applied"))
        case "probation", Breached(problem=problem):
            return _to("rolling_back", replace(record, errors=(*record.errors, problem)))
        case "rolling_back", Happened(what="restored"):
            return _rolled_back(record, "rolled_back", limits)
        case "rolling_back", Happened(what="lost"):
            return _rolled_back(record, "unable_to_roll_back", limits)
        case "downloading" | "verifying" | "staged", Cancelled():
            return _failed(record, "cancelled", Problem(code=409, message="cancelled"))
        case _, Cancelled():
            late = Problem(code=409, message=f"it is {record.state}, which nobody can cancel")
            return Step(record=record, actions=(Answer(state="rejected", problem=late),))
        case "committed" | "failed", Happened(what="finished"):
            free = replace(record, state="idle", is_stopped=False, attempts=0, power_cuts=0)
            return Step(record=replace(free, previous=None, former=None, baseline=None, deadline_s=None))
        case _:
            return Step(record=record)


def start(record: Record, links: Links, boot_id: str, limits: Limits = LIMITS) -> Step:
    """What a process that begins does before it loads any bundle.

    A death in the same run of the machine is an attempt; one with the machine, a power cut, counts apart; a
    process that ended in order has not died.
    """
    repair = _repair(links)
    if record.state == "idle":
        kept = record if not repair else _lost(record, links, limits)
        return Step(record=kept, actions=(*repair, Do(what="discard")))
    found = replace(record, boot_id=boot_id, is_stopped=False)
    if record.state in COUNTED and not record.is_stopped:
        found = _counted(found, is_same_boot=record.boot_id == boot_id)
        # The try that a probation begins with is counted when it begins, those before it when they die.
        tries = found.attempts + (record.state != "probation")
        if tries > limits.attempts or found.power_cuts > limits.power_cuts:
            return _over(found, links, limits)
    match found.state:
        case "probation" if _target(found) not in links.verified:
            damaged = Problem(code=500, message="the bundle was damaged after it was proven")
            return _way_back(replace(found, errors=(*found.errors, damaged)), links, limits)
        case "rolling_back":
            return _way_back(found, links, limits)
        case "probation":  # the links are about to be set
            return Step(record=found, actions=duties(found))
        case "proving":  # what was read and found good died with the process
            return Step(record=found, actions=(*repair, Do(what="verify")))
        case _:
            return Step(record=found, actions=(*repair, *duties(found)))


def duties(record: Record) -> tuple[Action, ...]:
    """What has to be done in a state, in an order in which one of the links is good all the while.

    It can be done again without harm.
    """
    match record.state:
        case "downloading":
            return (Do(what="fetch"),)
        case "verifying":
            return (Do(what="verify"),)
        case "staged":
            return (Do(what="await_boundary"),)
        case "probation":
            back = () if record.previous is None else (Point(link="previous", at=record.previous),)
            return (*back, Point(link="current", at=_target(record)), Do(what="observe"))
        case "rolling_back":
            return (
                Point(link="current", at=record.previous),
                Point(link="previous", at=record.former),
                Do(what="observe"),
            )
        case "committed":
            return (Do(what="clean_up"), Do(what="report"))
        case "failed" if record.outcome == "unable_to_roll_back":
            return (Point(link="current", at=None), Do(what="fail_safe"), Do(what="report"))
        case "failed":
            return (Do(what="discard"), Do(what="report"))
        case _:
            return ()


def _repair(links: Links) -> tuple[Action, ...]:
    """A `current` that names nothing whole gives way to `previous`, or to no bundle at all."""
    if links.current is None or links.current in links.verified:
        return ()
    if links.previous in links.verified:
        return (Point(link="current", at=links.previous),)
    return (Point(link="current", at=None), Do(what="fail_safe"))


def _lost(record: Record, links: Links, limits: Limits) -> Record:
    """What was applied does not serve any more, where another one, or none, serves in its place."""
    serves = links.previous if links.previous in links.verified else None
    if record.outcome != "applied" or _target(record) == serves:
        return record
    words = "nothing serves in its place" if serves is None else "what was before serves"
    again = "send it again with a higher counter"
    why = Problem(code=500, message=f"it was damaged or lost on the disk, and {words}; {again}")
    outcome: Outcome = "unable_to_roll_back" if serves is None else "rolled_back"
    return replace(_remembered(record, why, limits), outcome=outcome, errors=(*record.errors, why))


def _offered(record: Record, event: Offered, limits: Limits) -> Step:
    new = event.instruction
    if not event.is_addressed:
        return Step(record=record)
    seen = next((one for one in record.highest if (one.issuer, one.epoch) == (new.issuer, new.epoch)), None)
    failure = next((one for one in record.failed if one.target_sha256 == new.target_sha256), None)
    if seen is not None and new.counter < seen.counter:
        return _rejected(record, 409, f"counter {new.counter} is not above {seen.counter}")
    if seen is not None and new.counter == seen.counter and new.envelope_sha256 != seen.envelope_sha256:
        return _rejected(record, 409, f"counter {new.counter} came with another content before")
    is_known = seen is not None and new.counter == seen.counter
    if failure is not None and (is_known or new.counter <= failure.counter):
        return _rejected(_raised(record, event), 424, f"it failed here before: {failure.reason}")
    if is_known:
        return Step(record=record, actions=(Answer(state="unchanged"),))
    if event.is_expired:
        return _rejected(_raised(record, event), 410, "it has expired")
    if record.state in MAY_END:
        newer = Problem(code=409, message=f"superseded by {new.transaction}")
        ended = _failed(record, "superseded", newer)
        return replace(ended, actions=(*ended.actions, TakeUp(offered=event)))
    if record.state != "idle":
        return _rejected(record, 429, f"another transaction is {record.state}; send it again after that")
    if new.target_sha256 == event.current:
        return Step(record=_raised(record, event), actions=(Answer(state="unchanged"),))
    if not event.has_room:
        return _rejected(record, 507, "there is no room for it on the disk")
    begun = replace(
        _raised(record, event),
        state="downloading",
        instruction=new,
        boot_id=event.boot_id,
        started_at=event.at,
        deadline_s=event.deadline_s,
        bytes_done=(),
        proof=None,
        outcome=None,
        errors=(),
    )
    return Step(record=begun, actions=(Answer(state="accepted"), *duties(begun)))


def _rejected(record: Record, code: int, message: str) -> Step:
    answer = Answer(state="rejected", problem=Problem(code=code, message=message))
    return Step(record=record, actions=(answer,))


def _to(state: State, record: Record) -> Step:
    there = replace(record, state=state, is_stopped=False)
    return Step(record=there, actions=duties(there))


def _failed(record: Record, outcome: Outcome, *problems: Problem) -> Step:
    return _to("failed", replace(record, outcome=outcome, errors=(*record.errors, *problems)))


def _rolled_back(record: Record, outcome: Outcome, limits: Limits) -> Step:
    why = record.errors[-1] if record.errors else Problem(code=500, message="it was rolled back")
    return _failed(_remembered(record, why, limits), outcome)


def _counted(record: Record, *, is_same_boot: bool) -> Record:
    if is_same_boot:
        return replace(record, attempts=record.attempts + 1)
    return replace(record, power_cuts=record.power_cuts + 1)


def _over(record: Record, links: Links, limits: Limits) -> Step:
    """It was tried often enough."""
    died = Problem(
        code=500,
        message=f"tried {record.attempts} times and cut off {record.power_cuts} times while {record.state}",
    )
    if record.state == "probation":
        return _way_back(replace(record, errors=(*record.errors, died)), links, limits)
    ended = _failed(_remembered(record, died, limits), "failed", died)
    return replace(ended, actions=(*_repair(links), *ended.actions))


def _way_back(record: Record, links: Links, limits: Limits) -> Step:
    """To the bundle before, where it can still be used."""
    if record.previous in links.verified:
        return _to("rolling_back", record)
    return _rolled_back(record, "unable_to_roll_back", limits)


def _remembered(record: Record, why: Problem, limits: Limits) -> Record:
    if record.instruction is None:
        return record
    new = Failure(
        target_id=record.instruction.target_id,
        target_sha256=record.instruction.target_sha256,
        counter=record.instruction.counter,
        reason=why.message,
    )
    others = [one for one in record.failed if one.target_sha256 != new.target_sha256]
    return replace(record, failed=(*others, new)[-limits.failures :])


def _raised(record: Record, event: Offered) -> Record:
    new = event.instruction
    seen = Seen(issuer=new.issuer, epoch=new.epoch, counter=new.counter, envelope_sha256=new.envelope_sha256)
    others = [one for one in record.highest if (one.issuer, one.epoch) != (new.issuer, new.epoch)]
    return replace(_later(record, event.trusted_time), highest=(*others, seen))


def _later(record: Record, at: str | None) -> Record:
    latest = record.latest_trusted_time
    return record if at is None or at <= (latest or "") else replace(record, latest_trusted_time=at)


def _target(record: Record) -> str | None:
    return None if record.instruction is None else record.instruction.target_sha256
