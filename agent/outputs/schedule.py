"""What an output does when: parts on their way to its gate, a pure function of what is heard and of time.

A part is *due* when it is at the gate, and may be acted on until its *deadline*, `window` further. In
between it is in front of the gate. Whatever the order in which triggers, verdicts, readings and time come:

- Every part that was seen ends once, by one `Ending`; a verdict that comes after it is one ending more.
- Nothing is begun for a part before it is due or after its deadline.
- With `when_late: reject`, a part whose verdict is not there when it is due is rejected then; with `pass` it
  may still be rejected until its deadline, and is let through there.
- Where an output that stops leaves its gate open, it is also open between the last part that was seen before
  the camera was blind and the first one after it: what passed meanwhile was not seen by anybody.
- Pulses that overlap are one, as long as the last of them asks for. A good part that is in front of an open
  gate is rejected with its neighbour, and that is told.

Places are those of `belt.py`; an output that tracks by time has the part's moment in place of a place.
What the gate answers is heard as well: `acted`, `shut` and `refused`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from agent.contract.actuation import Action, Cause
from agent.outputs import belt as belts
from agent.outputs.belt import Belt, Reading
from agent.outputs.nouns import Decision, Ending, Rule, Trigger

MAX_PARTS = 4096  # on their way; of more, the first is told to be untracked
MAX_REMEMBERED = 1024  # parts without a verdict, whose verdict may still come


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part between camera and gate."""

    trigger: Trigger
    place: float  # where it is due: ticks, or ns of the clock
    resets: int  # of the encoder, when it was seen
    decision: Decision | None = None
    due_ns: int | None = None  # once it is there
    met_open: bool = False  # the gate was open while it was in front of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """All that an output knows. Parts are by frame id, in the order in which they were seen."""

    rule: Rule
    belt: Belt = field(default_factory=Belt)
    parts: Mapping[int, Part] = field(default_factory=dict)
    early: Mapping[int, Decision] = field(default_factory=dict)  # of parts that were not heard of yet
    unsaid: Mapping[int, Ending] = field(default_factory=dict)  # that ended without their verdict
    firing: tuple[int, ...] = ()  # whose pulse is to begin
    open_until_ns: int | None = None  # of the pulse that the gate has begun
    stands_open: bool = False  # as far as its answers tell
    trouble: str | None = None  # why it does not open
    gaps: tuple[frozenset[int], ...] = ()  # in what the camera saw: who of the parts was seen before each
    passed: int = 0  # good parts that went by a shut gate
    endings: tuple[Ending, ...] = ()  # since `told`


def read(known: Schedule, reading: Reading) -> Schedule:
    """The encoder was at a count."""
    return replace(known, belt=belts.read(known.belt, reading))


def seen(known: Schedule, trigger: Trigger) -> Schedule:
    """A part was in front of the camera."""
    if trigger.frame_id in known.parts:
        return known
    early = dict(known.early)
    part = Part(
        trigger=trigger,
        place=_place(known, trigger),
        resets=known.belt.resets,
        decision=early.pop(trigger.frame_id, None),
    )
    parts = {**known.parts, trigger.frame_id: part}
    now = replace(known, parts=parts, early=early)
    if known.rule.by == "encoder" and known.belt.newest is None:
        return _ended(now, part, "missed", "untracked", detail="its camera gives no encoder count")
    if len(parts) <= MAX_PARTS:
        return now
    first = next(iter(parts.values()))
    return _ended(now, first, "missed", "untracked", detail=f"more than {MAX_PARTS} parts are on their way")


def decided(known: Schedule, decision: Decision) -> Schedule:
    """A record is there; the first of a part counts."""
    frame_id = decision.frame_id
    if (part := known.parts.get(frame_id)) is not None:
        if part.decision is not None:
            return known
        return replace(known, parts={**known.parts, frame_id: replace(part, decision=decision)})
    if (ending := known.unsaid.get(frame_id)) is not None:
        unsaid = {other: one for other, one in known.unsaid.items() if other != frame_id}
        late = replace(ending, cause="late_verdict", decision=decision, is_late=True)
        return replace(known, unsaid=unsaid, endings=(*known.endings, late))
    early = {**known.early, frame_id: decision}
    if len(early) <= MAX_REMEMBERED:
        return replace(known, early=early)
    first = early.pop(next(iter(early)))
    return replace(known, early=early, endings=(*known.endings, *_never_seen(known.rule, first)))


def blind(known: Schedule) -> Schedule:
    """The camera sees nothing: who passes it from now on is not heard of."""
    before = frozenset(known.parts)
    if known.gaps and before <= known.gaps[-1]:  # nobody was seen since
        return known
    return replace(known, gaps=(*known.gaps, before))


def at(known: Schedule, now_ns: int) -> Schedule:
    """Time has come so far: parts arrive in front of the gate, and leave it."""
    if known.gaps:
        near = {frame_id for frame_id, part in known.parts.items() if _is_near(known, part, now_ns)}
        known = replace(known, gaps=tuple(before for before in known.gaps if near <= before))
    for part in tuple(known.parts.values()):
        known = _arrived(known, part, now_ns)
    if known.open_until_ns is not None and now_ns >= known.open_until_ns:
        known = replace(known, open_until_ns=None)
    return known


def level(known: Schedule) -> bool:
    """Whether the gate is to be open, at the moment of the last `at`."""
    unseen = any(before.isdisjoint(known.parts) for before in known.gaps)
    return bool(known.firing) or known.open_until_ns is not None or unseen


def acted(known: Schedule, now_ns: int) -> Schedule:
    """The gate has answered that it is open: the pulses that were to begin have begun."""
    known = replace(known, stands_open=True, trouble=None)
    for frame_id in known.firing:
        part = known.parts[frame_id]
        known = _ended(
            known, part, "reject", _why(part), acted_ns=now_ns, is_late=_is_over(known, part, now_ns)
        )
        known = replace(known, open_until_ns=now_ns + known.rule.pulse_ns)
    parts = {
        frame_id: replace(part, met_open=True)
        if part.due_ns is not None and not _is_over(known, part, now_ns)
        else part
        for frame_id, part in known.parts.items()
    }
    return replace(known, parts=parts)


def shut(known: Schedule) -> Schedule:
    """The gate has answered that it is shut."""
    return replace(known, stands_open=False, trouble=None)


def refused(known: Schedule, words: str) -> Schedule:
    """The gate did not do it. Who waits for it is missed when his deadline passes."""
    return replace(known, trouble=words)


def next_ns(known: Schedule) -> int | None:
    """When `at` has something to do without anything being heard, not before its last one; None for never."""
    moments = [known.open_until_ns]
    for frame_id, part in known.parts.items():
        if any(frame_id not in before for before in known.gaps):
            moments.append(_moment(known, part.place - known.rule.window))
        moments.append(_moment(known, part.place) if part.due_ns is None else _deadline(known, part))
    return min((one for one in moments if one is not None), default=None)


def ended(known: Schedule) -> Schedule:
    """Nobody tracks the parts any more that are still on their way."""
    for part in tuple(known.parts.values()):
        if part.decision is None or part.decision.verdict in known.rule.rejects:
            known = _ended(known, part, "missed", "stopped", detail="the output was stopped")
        else:
            known = _went_by(known, part)
    for decision in known.early.values():
        known = replace(known, endings=(*known.endings, *_never_seen(known.rule, decision)))
    return replace(known, early={}, open_until_ns=None)


def told(known: Schedule) -> tuple[Schedule, tuple[Ending, ...]]:
    """The endings there are, which are then forgotten."""
    return replace(known, endings=()), known.endings


def _arrived(known: Schedule, part: Part, now_ns: int) -> Schedule:
    """One part at this moment."""
    rule, frame_id = known.rule, part.trigger.frame_id
    due_ns = part.due_ns or _moment(known, part.place)
    if due_ns is None or due_ns > now_ns:
        return known
    is_over, wanted = _is_over(known, part, now_ns), _wanted(rule, part)
    met_open = part.met_open or known.stands_open
    if (due_ns, met_open) != (part.due_ns, part.met_open):
        part = replace(part, due_ns=due_ns, met_open=met_open)
        known = replace(known, parts={**known.parts, frame_id: part})
    if wanted and is_over:
        cause: Cause = "too_late" if known.trouble is None else "gate"
        return _ended(known, part, "missed", cause, detail=known.trouble)
    if wanted and known.stands_open:
        acted_ns = due_ns if part.decision is None else max(due_ns, part.decision.at_ns)
        known = replace(known, open_until_ns=max(known.open_until_ns or 0, due_ns + rule.pulse_ns))
        return _ended(known, part, "reject", _why(part), acted_ns=acted_ns, merged=True)
    is_firing = frame_id in known.firing
    if wanted:
        return known if is_firing else replace(known, firing=(*known.firing, frame_id))
    if is_firing:  # its verdict came, and is good, before the gate had moved
        known = replace(known, firing=tuple(one for one in known.firing if one != frame_id))
    if not is_over:
        return known
    if part.decision is None:
        return _ended(
            known, part, "reject" if met_open else "pass", "no_verdict", is_late=True, merged=met_open
        )
    return _went_by(known, part)


def _wanted(rule: Rule, part: Part) -> bool:
    if part.decision is None:
        return rule.when_late == "reject"
    return part.decision.verdict in rule.rejects


def _why(part: Part) -> Cause:
    return "no_verdict" if part.decision is None else "verdict"


def _went_by(known: Schedule, part: Part) -> Schedule:
    """A good part, which an open gate took all the same."""
    if part.met_open:
        return _ended(known, part, "reject", "neighbour", merged=True)
    return replace(known, parts=_without(known.parts, part), passed=known.passed + 1)


def _ended(
    known: Schedule,
    part: Part,
    action: Action,
    cause: Cause,
    *,
    acted_ns: int | None = None,
    is_late: bool = False,
    merged: bool = False,
    detail: str | None = None,
) -> Schedule:
    frame_id = part.trigger.frame_id
    ending = Ending(
        frame_id=frame_id,
        action=action,
        cause=cause,
        decision=part.decision,
        due_ns=part.due_ns,
        acted_ns=acted_ns,
        is_late=is_late,
        merged=merged,
        is_estimated=part.resets != known.belt.resets,
        detail=detail,
    )
    unsaid = dict(known.unsaid)
    if part.decision is None:
        unsaid[frame_id] = ending
        if len(unsaid) > MAX_REMEMBERED:
            unsaid.pop(next(iter(unsaid)))
    return replace(
        known,
        parts=_without(known.parts, part),
        firing=tuple(one for one in known.firing if one != frame_id),
        unsaid=unsaid,
        endings=(*known.endings, ending),
    )


def _never_seen(rule: Rule, decision: Decision) -> Iterable[Ending]:
    """A verdict whose part never was in front of the camera that the distance counts from."""
    if decision.verdict in rule.rejects:
        yield Ending(
            frame_id=decision.frame_id,
            action="missed",
            cause="untracked",
            decision=decision,
            due_ns=None,
            detail="its camera never told of it",
        )


def _without(parts: Mapping[int, Part], gone: Part) -> dict[int, Part]:
    return {frame_id: one for frame_id, one in parts.items() if frame_id != gone.trigger.frame_id}


def _place(known: Schedule, trigger: Trigger) -> float:
    rule = known.rule
    if rule.by == "time":
        return trigger.captured_ns + rule.distance
    if trigger.encoder is None:
        return belts.place_at(known.belt, trigger.captured_ns) + rule.distance
    return belts.place_of(known.belt, trigger.encoder) + rule.distance


def _moment(known: Schedule, place: float) -> int | None:
    return round(place) if known.rule.by == "time" else belts.when(known.belt, place)


def _deadline(known: Schedule, part: Part) -> int | None:
    """None while the belt is not known to take it past the gate."""
    return _moment(known, part.place + known.rule.window)


def _is_near(known: Schedule, part: Part, now_ns: int) -> bool:
    """Whether it is due within a window."""
    near_ns = _moment(known, part.place - known.rule.window)
    return near_ns is not None and near_ns <= now_ns


def _is_over(known: Schedule, part: Part, now_ns: int) -> bool:
    """Whether its deadline has passed."""
    deadline_ns = _deadline(known, part)
    return deadline_ns is not None and now_ns > deadline_ns
