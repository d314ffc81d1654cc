"""Everything that can become of one station's rollout: every order of events, every death, every power cut.

A world is what the disk has, and what the process that lives on it still has to do. Each write of the record
and each change of a link or folder is one durable step; process or machine may die before any of them, also
within the recovery from a death before. What was learned and not written dies with the process.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from agent.remote.rollout import rollout
from agent.remote.rollout.transaction import (
    Action,
    Answer,
    Boundary,
    Breached,
    Cancelled,
    Do,
    Event,
    Happened,
    Instruction,
    Limits,
    Links,
    Offered,
    Point,
    Problem,
    Progressed,
    Record,
    Refused,
    Step,
    Stopped,
    TakeUp,
    TimeSeen,
)

LIMITS = Limits(attempts=2, power_cuts=1, failures=2)
BAD = Problem(code=422, message="bad")
COUNTERS = {"new": 1, "newer": 2, "newest": 3}
NEWS = ("offer", "present")
MISHAPS = ("died", "power", "damage")


def instruction(target: str, counter: int) -> Instruction:
    return Instruction(
        transaction=f"{target}-{counter}",
        issuer="plant",
        epoch=1,
        counter=counter,
        envelope_sha256=f"envelope of {target}-{counter}",
        target_id=target,
        target_sha256=target,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """`whole` are the folders whose bytes are verified; `queue` what the living process has yet to do."""

    record: Record
    current: str | None
    previous: str | None
    whole: frozenset[str]
    candidate: str | None = None
    boot: str = "a"
    queue: tuple[Record | Action, ...] = ()
    committed: frozenset[str]
    proven: str | None = None  # the transaction that was

    def links(self) -> Links:
        return Links(current=self.current, previous=self.previous, verified=self.whole)


StepFunction: TypeAlias = Callable[[Record, Event, Limits], Step]
StartFunction: TypeAlias = Callable[[Record, Links, str, Limits], Step]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is enumerated; the broken variants put something else in."""

    step: StepFunction = rollout.step
    start: StartFunction = rollout.start
    record_first: bool = True
    may_be_damaged: bool = False  # the bundle that serves at first
    targets: tuple[str, ...] = ("new", "newer")
    limits: Limits = LIMITS

    def queue(self, found: Step, before: Record) -> tuple[Record | Action, ...]:
        record = without_words(found.record)
        written = () if record == before else (record,)
        return (*written, *found.actions) if self.record_first else (*found.actions, *written)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`ways` has, for each world, where it can go: the name of what happened, and the world after it."""

    ways: dict[World, list[tuple[str, World]]]

    def trapped(self) -> set[World]:
        """Worlds from which no way leads to idle but for news from the network."""
        free = {world for world in self.ways if world.record.state == "idle" and not world.queue}
        return never_at(free, self.ways, but=NEWS + MISHAPS)


W = TypeVar("W", bound=Hashable)


def never_at(ends: set[W], ways: Mapping[W, Iterable[tuple[str, W]]], *, but: Collection[str]) -> set[W]:
    """Worlds from which no way leads to any of `ends`, where what is named in `but` does not happen."""
    back: dict[W, list[W]] = {}
    for world, ahead in ways.items():
        for name, after in ahead:
            if name not in but:
                back.setdefault(after, []).append(world)
    reached = set(ends)
    wait = deque(reached)
    while wait:
        for world in back.get(wait.popleft(), ()):
            if world not in reached:
                reached.add(world)
                wait.append(world)
    return set(ways) - reached


@functools.cache
def without_words(record: Record) -> Record:
    """What decides: worlds that differ in words alone are one."""
    failed = tuple(replace(one, reason="") for one in record.failed)
    record = replace(record, errors=(), deadline_s=None, bytes_done=(), latest_trusted_time=None)
    record = replace(record, failed=tuple(sorted(failed, key=lambda one: one.target_id)))
    return replace(record, instruction=None, outcome=None) if record.state == "idle" else record


def first_world(current: str | None = "old", previous: str | None = "older") -> World:
    there = frozenset(one for one in (current, previous) if one is not None)
    return World(record=Record(), current=current, previous=previous, whole=there, committed=there)


def enumerate_all(first: World, rules: Rules) -> Found:
    ways: dict[World, list[tuple[str, World]]] = {}
    wait = deque([first])
    while wait:
        world = wait.popleft()
        if world in ways:
            continue
        ways[world] = list(ways_from(world, rules))
        wait.extend(after for _, after in ways[world])
    return Found(ways=ways)


def ways_from(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    if world.queue:
        yield "goes on", _done(world)
    else:
        for event in _events(world, rules.targets):
            found = rules.step(world.record, event, rules.limits)
            after = replace(world, queue=rules.queue(found, world.record))
            if (world.record.state, found.record.state) == ("proving", "staged"):
                assert isinstance(event, Happened)
                after = replace(after, proven=event.transaction)
            yield _name(event), after
    yield "died", _started(world, world.boot, rules)
    # A second cut before the record is written again is no other boot to it than the first.
    yield "power", _started(world, "b" if world.record.boot_id == "a" else "a", rules)
    if rules.may_be_damaged and "old" in world.whole:
        yield "damage", replace(world, whole=world.whole - {"old"})


def _started(world: World, boot: str, rules: Rules) -> World:
    found = rules.start(world.record, world.links(), boot, rules.limits)
    return replace(world, boot=boot, queue=rules.queue(found, world.record))


def _name(event: Event) -> str:
    return "offer" if isinstance(event, Offered) else getattr(event, "what", type(event).__name__.lower())


def _events(world: World, targets: tuple[str, ...]) -> Iterator[Event]:
    """All that may come, late and senseless ones too, as far as it is not a lie about the disk."""
    record = world.record
    for name in targets:
        yield Offered(
            instruction=instruction(name, COUNTERS[name]),
            boot_id=world.boot,
            at="now",
            current=world.current if world.current in world.whole else None,
        )
    yield Stopped()
    yield TimeSeen(at="later")
    if record.instruction is None:
        return
    own, target = record.instruction.transaction, record.instruction.target_sha256
    is_there = world.candidate == target or target in world.whole
    yield Progressed(transaction=own, bytes_done=(), deadline_s=1.0)
    yield Happened(what="present", transaction=own)
    if is_there:
        yield Happened(what="verified", transaction=own)
    if target in world.whole:
        yield Happened(what="proven", transaction=own)
    if world.current == target:
        yield Happened(what="stable", transaction=own)
    if world.current == record.previous and record.previous in world.whole:
        yield Happened(what="restored", transaction=own)
    if record.previous not in world.whole:
        yield Happened(what="lost", transaction=own)
    yield Happened(what="finished", transaction=own)
    yield Boundary(transaction=own, current=world.current, previous=world.previous)
    yield Refused(transaction=own, problem=BAD)
    yield Breached(transaction=own, problem=BAD)
    yield Cancelled(transaction=own)
    for what in ("present", "verified", "proven", "stable", "restored", "lost", "finished"):
        other: Any = what  # of a transaction that is over
        yield Happened(what=other, transaction="another")


def _done(world: World) -> World:
    """After the first thing of the queue."""
    head, rest = world.queue[0], world.queue[1:]
    world = replace(world, queue=rest)
    target = world.record.instruction.target_sha256 if world.record.instruction else None
    linked = {world.current, world.previous}
    match head:
        case Record():
            done = replace(world, record=head)
            if head.state == "committed" and head.instruction is not None:
                assert done.proven == head.instruction.transaction, "committed without a proof"
                assert world.record.state in ("probation", "committed"), "committed without probation"
                done = replace(done, committed=done.committed | {head.instruction.target_sha256})
            return replace(done, proven=None) if head.state in ("idle", "downloading") else done
        case Point(link="current", at=at) if at is not None and at not in world.whole:
            return replace(world, queue=())  # who sets a link looks first, and tells that it is lost
        case Point(link="current", at=at):
            return replace(world, current=at)
        case Point(link="previous", at=at):
            return replace(world, previous=at)
        case Do(what="fetch"):
            return replace(world, candidate=target)
        case Do(what="place") if world.candidate is not None and world.candidate == target:
            return replace(world, candidate=None, whole=world.whole | {world.candidate})
        case Do(what="discard"):
            gone = {target} - linked if world.record.state == "failed" else set()
            return replace(world, candidate=None, whole=world.whole - gone)
        case Do(what="clean_up"):
            return replace(world, candidate=None, whole=frozenset(world.whole & linked))
        case Do() | Answer() | TakeUp():
            return world
    raise AssertionError(head)


def broken(world: World, limits: Limits = LIMITS) -> list[str]:
    """The promises that a world does not keep."""
    found = []
    record, target = world.record, None
    if record.instruction is not None:
        target = record.instruction.target_sha256
    if world.current is not None and world.current not in world.whole:
        found.append("current names a bundle that is not whole")
    if not {world.current, world.previous} & world.whole:
        found.append("neither current nor previous can run")
    on_trial = record.state in ("probation", "rolling_back") or (
        record.state == "failed" and record.outcome == "unable_to_roll_back"
    )
    if world.current is not None and world.current not in world.committed:
        if not on_trial:
            found.append(f"an uncommitted bundle is active in {record.state}")
        if world.current != target:
            found.append("what is active belongs to no transaction")
    if record.state == "idle" and (record.attempts or record.power_cuts):
        found.append("attempts rise in idle")
    if record.attempts > limits.attempts + 1 or record.power_cuts > limits.power_cuts + 1:
        found.append("it is tried for ever")
    return found
