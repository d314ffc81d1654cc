"""Which views are of one part, and when nothing more is waited for: pure, of views and time.

The views of one camera come in the order in which they were captured; between cameras they may come in any
order, late, or never. Two views are never brought together in doubt: what cannot be told stays undecided.
Times are the host's monotonic clock, so that no step of the wall clock moves anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from agent.parts import counters
from agent.parts.view import Back, Decided, Doubt, Group, Key, Rule, Seen, State, Told, View, part_id_of

OPEN_MOST = 200  # parts of a rule; the oldest is told when there are more
TOLD_KEPT = 64
TOLD_TIMEOUTS = 10  # for so many time-outs a part that was decided is remembered

Step = tuple[State, tuple[Decided, ...]]


def taken(rule: Rule, state: State, view: View, now_ns: int) -> Step:
    """After a view that came at `now_ns`, and the parts that are decided by it and by the time until then.

    Views come in the order of their records; one that was taken already changes nothing.
    """
    if view.sequence <= state.last:
        return state, ()
    state, due = passed(rule, replace(state, last=view.sequence), now_ns)
    match rule.by:
        case "trigger":
            state, done = _by_trigger(rule, state, view, now_ns)
        case "encoder":
            state, done = _by_encoder(rule, state, view, now_ns)
        case "part_id":
            state, done = _by_key(rule, state, view, now_ns, view.part_id)
        case "message":
            state, done = _by_key(rule, state, view, now_ns, view.bind_id)
    return state, (*due, *done)


def passed(rule: Rule, state: State, now_ns: int) -> Step:
    """At `now_ns`: parts whose time is over are decided."""
    over = [group for group in state.groups if now_ns >= group.opened_ns + rule.timeout_ns]
    return _closed(rule, state, over, now_ns)


def ended(rule: Rule, state: State, now_ns: int) -> Step:
    """What is open is decided as it is: there is no such rule any more."""
    return _closed(rule, state, state.groups, now_ns)


def due_ns(rule: Rule, state: State) -> int | None:
    """When `passed` will decide something; None while nothing is open."""
    opened = [group.opened_ns for group in state.groups]
    return min(opened) + rule.timeout_ns if opened else None


def restored(state: State, now_ns: int, last: int) -> State:
    """Of another run of the process, whose clock means nothing any more: every time-out begins anew.

    `last`: views behind this record come.
    """
    groups = tuple(
        replace(
            group,
            opened_ns=now_ns,
            views=tuple(replace(view, captured_ns=None, committed_ns=None) for view in group.views),
        )
        for group in state.groups
    )
    return replace(
        state,
        last=min(state.last, last),
        groups=groups,
        told=tuple(replace(one, at_ns=now_ns, captured_ns=None) for one in state.told),
        seen={camera: replace(one, captured_ns=None, before_ns=None) for camera, one in state.seen.items()},
        trial=None,
        back=None if state.back is None else replace(state.back, told_ns=now_ns, captured_ns=None),
    )


def _by_key(rule: Rule, state: State, view: View, now_ns: int, key: str | None) -> Step:
    if key is None:
        return state, (_alone(rule, view, "no_key"),)
    return _placed(rule, state, view, now_ns, key)


def _by_encoder(rule: Rule, state: State, view: View, now_ns: int) -> Step:
    """A count that goes back says that places on the belt mean something else from then on.

    Which views of other cameras came since, the time of capture tells, or that their count goes back, too.
    """
    count, camera = view.encoder, view.camera
    if count is None:
        return state, (_alone(rule, view, "no_key"),)
    before = state.seen.get(camera)
    state = replace(state, seen={**state.seen, camera: Seen(count=count)})
    goes_back = before is not None and count < before.count - rule.window_ticks
    done: tuple[Decided, ...] = ()
    if goes_back and (state.back is None or camera in state.back.past):
        state, done = _closed(rule, state, state.groups, now_ns, "encoder_back")
        since = Back(told_ns=now_ns, captured_ns=view.captured_ns, past=(camera,))
        state = replace(state, told=(), back=since)
    elif state.back is not None and camera not in state.back.past:
        if not goes_back and not _is_since(rule, state.back, view, now_ns):
            return state, (_alone(rule, view, "encoder_back"),)
        past = (*state.back.past, camera)
        known = len(past) == len(rule.cameras)
        state = replace(state, back=None if known else replace(state.back, past=past))
    state, more = _placed(rule, state, view, now_ns, count - rule.offsets.get(camera, 0))
    return state, (*done, *more)


def _is_since(rule: Rule, back: Back, view: View, now_ns: int) -> bool:
    if back.captured_ns is None or view.captured_ns is None:  # of another run of the process
        return now_ns >= back.told_ns + rule.timeout_ns
    return view.captured_ns >= back.captured_ns


def _by_trigger(rule: Rule, state: State, view: View, now_ns: int) -> Step:
    """By number where the cameras' counters are in step; else by the time of capture, and in doubt."""
    state = counters.counted(rule, state, view)
    number = counters.number_of(state, view)
    numbered = [group for group in state.groups if number is not None and group.key == number]
    near = [group for group in state.groups if counters.may_join(rule, state, group, view)]
    if number is not None and (numbered or len(near) != 1):
        told = [one for one in state.told if one.key == number]
        placed, done = _placed(rule, state, view, now_ns, number)
        is_late = any(one.doubt is not None and view in one.views for one in done)
        if is_late and not any(counters.agrees(rule, one.captured_ns, view) for one in told):
            placed = counters.lost(placed, view.camera)  # late by its number alone: it is another's
        return placed, done
    if view.captured_ns is None or len(near) > 1:
        return state, (_alone(rule, view, "out_of_step"),)
    if not near:
        return _opened(rule, state, view, now_ns, None, aligning=True)
    key = near[0].key if number is None else number
    return _joined(rule, state, near[0], view, now_ns, key=key, aligning=True)


def _placed(rule: Rule, state: State, view: View, now_ns: int, key: Key) -> Step:
    """To the open part with this key, or to a new one; alone where it comes late or may be of two."""
    found = [group for group in state.groups if _is_same(rule, group.key, key)]
    if len(found) > 1:
        return state, (_alone(rule, view, "two_parts", key),)
    if found:
        group = found[0]
        if any(one.camera == view.camera for one in group.views):
            state, done = _closed(rule, state, found, now_ns, "seen_twice")
            state, more = _opened(rule, state, view, now_ns, key, doubt="seen_twice")
            return state, (*done, *more)
        if not counters.is_near(rule, group, view):
            return state, (_alone(rule, view, "late_view", key, part_id_of(group.views)),)
        return _joined(rule, state, group, view, now_ns, key=group.key, aligning=group.aligning)
    for one in reversed(state.told):
        if _is_same(rule, one.key, key):
            if view.camera in one.cameras:
                break  # the part comes once more
            return state, (_alone(rule, view, "late_view", key, one.result_id),)
    return _opened(rule, state, view, now_ns, key)


def _is_same(rule: Rule, one: Key | None, other: Key) -> bool:
    if isinstance(one, int) and isinstance(other, int):
        return abs(one - other) <= rule.window_ticks
    return one == other


def _opened(
    rule: Rule,
    state: State,
    view: View,
    now_ns: int,
    key: Key | None,
    *,
    doubt: Doubt | None = None,
    aligning: bool = False,
) -> Step:
    group = Group(key=key, views=(view,), opened_ns=now_ns, doubt=doubt, aligning=aligning)
    over = state.groups[: max(0, len(state.groups) + 1 - OPEN_MOST)]
    state, done = _closed(rule, state, over, now_ns)
    return replace(state, groups=(*state.groups, group)), done


def _joined(
    rule: Rule, state: State, group: Group, view: View, now_ns: int, *, key: Key | None, aligning: bool
) -> Step:
    whole = replace(group, views=(*group.views, view), key=key, aligning=aligning)
    state = replace(state, groups=tuple(whole if one is group else one for one in state.groups))
    if len(whole.views) < len(rule.cameras):
        return state, ()
    if aligning:
        return _closed(rule, counters.tried(rule, state, whole), [whole], now_ns, "out_of_step")
    return _closed(rule, state, [whole], now_ns)


def _closed(
    rule: Rule, state: State, groups: Iterable[Group], now_ns: int, doubt: Doubt | None = None
) -> Step:
    """Decide these, and remember them."""
    gone = tuple(groups)
    done = tuple(
        Decided(
            key=group.key,
            views=group.views,
            missing=_missing(rule, group.views),
            doubt=group.doubt or doubt,
        )
        for group in gone
    )
    told = (
        *(one for one in state.told if now_ns - one.at_ns < TOLD_TIMEOUTS * rule.timeout_ns),
        *(
            Told(
                key=one.key,
                cameras=tuple(view.camera for view in one.views),
                result_id=one.result_id,
                captured_ns=one.views[0].captured_ns,
                at_ns=now_ns,
            )
            for one in done
            if one.key is not None
        ),
    )
    left = tuple(one for one in state.groups if one not in gone)
    return replace(state, groups=left, told=told[-TOLD_KEPT:]), done


def _alone(
    rule: Rule, view: View, doubt: Doubt, key: Key | None = None, late_for: str | None = None
) -> Decided:
    return Decided(key=key, views=(view,), missing=_missing(rule, (view,)), doubt=doubt, late_for=late_for)


def _missing(rule: Rule, views: Iterable[View]) -> tuple[str, ...]:
    there = {view.camera for view in views}
    return tuple(camera for camera in rule.cameras if camera not in there)
