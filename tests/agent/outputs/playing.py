"""A schedule played through time without threads: what is heard when, and a gate that answers as told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from agent.messages import VerdictName
from agent.outputs import schedule
from agent.outputs.belt import Reading
from agent.outputs.nouns import Decision, Ending, Rule, Trigger
from agent.outputs.schedule import Schedule
from agent.outputs.worker import Heard as Told

MS = 1_000_000
S = 1_000_000_000
REJECTED: frozenset[VerdictName] = frozenset(("fail", "undecided", "skipped"))


class Blind:
    """The camera sees nothing."""


Heard: TypeAlias = Told | Blind


def by_time(distance_ms: int = 500, window_ms: int = 20, pulse_ms: int = 50, **more: object) -> Rule:
    """A rule that tracks by time."""
    return Rule(
        by="time",
        distance=distance_ms * MS,
        window=window_ms * MS,
        pulse_ns=pulse_ms * MS,
        **{"rejects": REJECTED, "when_late": "reject", **more},  # type: ignore[arg-type]
    )


def by_encoder(distance: int = 1000, window: int = 40, pulse_ms: int = 50, **more: object) -> Rule:
    """A rule that tracks by encoder."""
    return Rule(
        by="encoder",
        distance=distance,
        window=window,
        pulse_ns=pulse_ms * MS,
        **{"rejects": REJECTED, "when_late": "reject", **more},  # type: ignore[arg-type]
    )


def decision(frame_id: int, verdict: VerdictName, at_ns: int) -> Decision:
    return Decision(frame_id=frame_id, verdict=verdict, at_ns=at_ns, result_id=f"result-{frame_id}")


@dataclass(slots=True)
class Played:
    """What came of it: endings in their order, and when the gate stood open."""

    endings: list[Ending] = field(default_factory=list)
    open: list[tuple[int, int]] = field(default_factory=list)  # from and until, in ns
    passed: int = 0
    known: Schedule | None = None

    def of(self, frame_id: int) -> list[Ending]:
        return [one for one in self.endings if one.frame_id == frame_id]

    def first(self, frame_id: int) -> Ending:
        return self.of(frame_id)[0]


def heard(known: Schedule, what: Heard) -> Schedule:
    match what:
        case Reading():
            return schedule.read(known, what)
        case Trigger():
            return schedule.seen(known, what)
        case Decision():
            return schedule.decided(known, what)
        case Blind():
            return schedule.blind(known)


def answers(now_ns: int) -> int | None:
    """A gate that does it at once."""
    return now_ns


def play(
    rule: Rule,
    events: Iterable[tuple[int, Heard]],
    until_ns: int,
    *,
    gate: Callable[[int], int | None] = answers,
    every_ns: int | None = None,
) -> Played:
    """Through `events`, each with its moment. `gate` gives the moment of its answer to what it is asked at a
    moment, or None for none; it is asked again after 5 ms.

    The schedule is looked at when it says so, and with `every_ns` so often besides: the plain twin.
    """
    waiting: Sequence[tuple[int, Heard]] = sorted(events, key=lambda one: one[0])
    known, played, place, now_ns = Schedule(rule=rule), Played(), 0, 0
    stands, opened_ns, again_ns = False, 0, 0
    while True:
        while place < len(waiting) and waiting[place][0] <= now_ns:
            known, place = heard(known, waiting[place][1]), place + 1
        known, at_ns = schedule.at(known, now_ns), now_ns
        wanted = schedule.level(known)
        if wanted != stands and now_ns >= again_ns:
            answered_ns = gate(now_ns)
            if answered_ns is None:
                known, again_ns = schedule.refused(known, "it does not answer"), now_ns + 5 * MS
            else:
                now_ns, stands = answered_ns, wanted
                known = schedule.acted(known, now_ns) if wanted else schedule.shut(known)
                if wanted:
                    opened_ns = now_ns
                else:
                    played.open.append((opened_ns, now_ns))
        known, endings = schedule.told(known)
        played.endings += endings
        if now_ns >= until_ns:
            break
        moments = [until_ns]
        if place < len(waiting):
            moments.append(waiting[place][0])
        if (next_ns := schedule.next_ns(known)) is not None:
            assert next_ns >= at_ns, "a thread would wait for what is past, and so not at all"
            moments.append(next_ns)
        if schedule.level(known) != stands:
            moments.append(again_ns)
        if every_ns is not None:
            moments.append(now_ns + every_ns)
        now_ns = max(now_ns + 1, min(moments))
    if stands:
        played.open.append((opened_ns, now_ns))
    known, endings = schedule.told(schedule.ended(known))
    played.endings += endings
    played.passed, played.known = known.passed, known
    return played
