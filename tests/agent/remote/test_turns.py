"""Settings and a bundle never are on probation at once, whoever comes first and whatever dies in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from agent.remote.rollout import rollout
from agent.remote.rollout.transaction import (
    Boundary,
    Breached,
    Cancelled,
    Event,
    Happened,
    Limits,
    Links,
    Offered,
    Record,
    Refused,
)
from agent.remote.turns import Bundle, Turns
from tests.agent.remote.enumeration import BAD, instruction, never_at, without_words

TRIED = ("probation", "rolling_back")
LIMITS = Limits(attempts=1, power_cuts=0, failures=2)
LINKS = Links(current="old", previous="older", verified=frozenset(("old", "older", "new", "newer")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """Two records on one disk, what has come and was not taken up, and what the process knows."""

    settings: Record = field(default_factory=Record)
    bundle: Record = field(default_factory=Record)
    settings_come: tuple[str, ...]
    bundles_come: tuple[str, ...]
    phase: Bundle = "away"
    at_boundary: bool = False  # the switch is allowed, and not yet in the record


MakeTurns: TypeAlias = Callable[[Both], Turns]


def turns(world: Both) -> Turns:
    state = world.settings.state
    return Turns(lambda: None if state == "idle" else state, world.phase)


def stepped(record: Record, event: Event) -> Record:
    return without_words(rollout.step(record, event, LIMITS).record)


def offered(record: Record, name: str, counter: int) -> Record:
    new = instruction(name, counter)
    return stepped(record, Offered(instruction=new, boot_id="a", at="now", current="old"))


def next_events(record: Record) -> Iterator[Event]:
    """What may come of the state by itself, but for the boundary."""
    own = "" if record.instruction is None else record.instruction.transaction
    match record.state:
        case "downloading":
            yield Happened(what="present", transaction=own)
        case "verifying":
            yield Happened(what="verified", transaction=own)
        case "proving":
            yield Happened(what="proven", transaction=own)
            yield Refused(transaction=own, problem=BAD)
        case "probation":
            yield Happened(what="stable", transaction=own)
            yield Breached(transaction=own, problem=BAD)
        case "rolling_back":
            yield Happened(what="restored", transaction=own)
            yield Happened(what="lost", transaction=own)


def boundary(record: Record) -> Record:
    assert record.instruction is not None
    own = record.instruction.transaction
    return stepped(record, Boundary(transaction=own, current="old", previous="older"))


def finished(record: Record) -> Record:
    assert record.instruction is not None
    return stepped(record, Happened(what="finished", transaction=record.instruction.transaction))


def ways(world: Both, make: MakeTurns) -> Iterator[tuple[str, Both]]:
    yield from settings_ways(world, make)
    yield from bundle_ways(world, make)
    for boot in ("a", "b"):
        yield "died", died(world, boot)


def settings_ways(world: Both, make: MakeTurns) -> Iterator[tuple[str, Both]]:
    record = world.settings
    if record.state == "idle" and world.settings_come:
        name, *rest = world.settings_come
        begun: list[Record] = []
        make(world).begin_settings(lambda: begun.append(offered(record, name, 9 - len(rest))))
        for one in begun:
            yield "settings begin", replace(world, settings=one, settings_come=tuple(rest))
    elif record.state == "staged":
        yield "settings are switched", replace(world, settings=boundary(record))
    elif record.state in ("committed", "failed"):
        yield "settings end", replace(world, settings=finished(record))
    for event in next_events(record):
        yield "settings go on", replace(world, settings=stepped(record, event))


def bundle_ways(world: Both, make: MakeTurns) -> Iterator[tuple[str, Both]]:
    record, asked = world.bundle, make(world)
    if record.state == "idle" and world.bundles_come:
        name, *rest = world.bundles_come
        new = offered(record, name, 9 - len(rest))
        yield "bundle begins", replace(world, bundle=new, bundles_come=tuple(rest))
    elif record.state == "staged" and world.at_boundary:
        yield "bundle is switched", replace(world, bundle=boundary(record), at_boundary=False)
    elif record.state == "staged":
        is_allowed = asked.begin_bundle() is None
        yield "bundle asks", replace(world, phase=asked.bundle, at_boundary=is_allowed)
        asked.end_bundle()
        yield "window shuts", replace(world, phase=asked.bundle)
        assert record.instruction is not None
        cancel = Cancelled(transaction=record.instruction.transaction)
        yield "cancelled", replace(world, bundle=stepped(record, cancel))
    elif record.state in ("committed", "failed"):
        asked.end_bundle()
        yield "bundle ends", replace(world, bundle=finished(record), phase=asked.bundle)
    for event in next_events(record):
        yield "bundle goes on", replace(world, bundle=stepped(record, event))


def died(world: Both, boot: str) -> Both:
    """What was in memory is gone, and the next process begins."""
    settings, bundle = (
        without_words(rollout.start(one, LINKS, boot, LIMITS).record)
        for one in (world.settings, world.bundle)
    )
    made = Turns(lambda: None)
    if bundle.state in TRIED:
        made.go_on_with_bundle()
    return replace(world, settings=settings, bundle=bundle, phase=made.bundle, at_boundary=False)


Found: TypeAlias = dict[Both, list[tuple[str, Both]]]


def enumerated(settings: tuple[str, ...], bundles: tuple[str, ...], make: MakeTurns = turns) -> Found:
    found: Found = {}
    wait = deque([Both(settings_come=settings, bundles_come=bundles)])
    while wait:
        if (world := wait.popleft()) not in found:
            found[world] = list(ways(world, make))
            wait.extend(after for _, after in found[world])
    return found


def both_tried(found: Found) -> list[Both]:
    return [one for one in found if one.settings.state in TRIED and one.bundle.state in TRIED]


def never_ending(found: Found) -> set[Both]:
    """Worlds from which not everything that came can come to its end without a death."""
    ends = {
        one
        for one in found
        if (one.settings.state, one.bundle.state) == ("idle", "idle")
        and not (one.settings_come or one.bundles_come)
    }
    return never_at(ends, found, but=("died", "cancelled", "window shuts"))


def test_in_every_order_with_every_death_one_is_tried_at_a_time_and_both_come_to_their_end() -> None:
    for settings, bundles in ((("new", "newer"), ("new",)), (("new",), ("new", "newer"))):
        found = enumerated(settings, bundles)
        assert len(found) > 800
        assert {one.settings.state for one in found} == {one.bundle.state for one in found}
        assert any(one.phase == "waits" for one in found)
        assert both_tried(found) == []
        assert never_ending(found) == set()
        ends = {one for one in found if not (one.settings_come or one.bundles_come)}
        assert all(one.phase == "away" for one in ends if one.bundle.state == "idle")


def test_a_bundle_that_waits_for_its_turn_is_passed_by_no_other_settings() -> None:
    found = enumerated(("new", "newer"), ("new",))
    waiting = [one for one in found if one.phase == "waits"]
    assert any(one.settings.state == "idle" and one.settings_come for one in waiting)
    assert all(name != "settings begin" for one in waiting for name, _ in found[one])


class Deaf(Turns):
    """Where the bundle does not ask."""

    def begin_bundle(self) -> str | None:
        self.bundle = "tried"
        return None


class Polite(Turns):
    """Where settings wait from the moment that a bundle begins, which waits for them."""

    def begin_bundle(self) -> str | None:
        self.bundle = "waits"
        return "after you"


def test_the_enumeration_bites() -> None:
    assert both_tried(enumerated(("new",), ("new",), lambda one: Deaf(turns(one)._settings, one.phase)))
    assert never_ending(enumerated(("new",), ("new",), lambda one: Polite(turns(one)._settings, one.phase)))


def test_why_one_waits_is_said() -> None:
    states: list[str | None] = ["probation"]
    made = Turns(lambda: states[-1])
    assert made.begin_bundle() == (
        "settings are under way (probation); it comes into force when they have ended"
    )
    assert made.begin_settings(lambda: None) == "a bundle that waited for its turn comes first"
    states.append(None)
    assert made.begin_bundle() is None
    assert made.begin_settings(lambda: None) == "a bundle is on probation"
    made.end_bundle()
    assert made.begin_settings(lambda: states.append("verifying")) is None and states[-1] == "verifying"
