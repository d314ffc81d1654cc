"""Whether the trigger counters of a rule's cameras are in step: pure.

Every camera counts triggers by itself, from its own beginning and anew after each connection, so equal
numbers mean nothing by themselves. Cameras are in step after one whole part that stood alone: each camera
captured one view of it within the time-out, and none before or after for another time-out, as the next view
of every camera shows, which has to be the next number, too. From there on numbers tell; that first part stays
undecided.

Not seen: a camera that misses a trigger without counting it, where parts come closer than the time-out. With
a time-out below their distance its next view comes too late for its part, and it is out of step.
"""

from __future__ import annotations

from dataclasses import replace

from agent.parts.view import Group, Rule, Seen, State, Trial, View


def counted(rule: Rule, state: State, view: View) -> State:
    """After the camera's counter was seen: it may be out of step now, or all may be in step."""
    before = state.seen.get(view.camera)
    now = replace(_seen(view), before_ns=None if before is None else before.captured_ns)
    if before is not None and before.run == now.run and now.count > before.count:
        now = replace(now, offset=before.offset)
    state = replace(state, seen={**state.seen, view.camera: now})
    trial = None if state.trial is None else _shown(rule, state.trial, view.camera, now)
    if trial is None or len(trial.passed) < len(rule.cameras):
        return replace(state, trial=trial)
    return _in_step(state, trial)


def number_of(state: State, view: View) -> int | None:
    """Of the part, by this view's counter; None where the camera is out of step."""
    seen = state.seen.get(view.camera)
    if seen is None or seen.offset is None or seen.run != _run(view):
        return None
    return view.frame_id - seen.offset


def lost(state: State, camera: str) -> State:
    """This camera is out of step."""
    return replace(state, seen={**state.seen, camera: replace(state.seen[camera], offset=None)})


def is_near(rule: Rule, group: Group, view: View) -> bool:
    """Whether it was captured within the time-out of the others, as far as that is known."""
    times = [one.captured_ns for one in (*group.views, view) if one.captured_ns is not None]
    return not times or max(times) - min(times) <= rule.timeout_ns


def agrees(rule: Rule, captured_ns: int | None, view: View) -> bool:
    """Whether it was captured within the time-out of a part that was told."""
    if captured_ns is None or view.captured_ns is None:
        return False
    return abs(view.captured_ns - captured_ns) <= rule.timeout_ns


def may_join(rule: Rule, state: State, group: Group, view: View) -> bool:
    """Whether by time of capture the view may be of this part, where one of both is not in step."""
    known = all(one.captured_ns is not None for one in (*group.views, view))
    number = number_of(state, view)
    unlike = number is not None and group.key is not None and group.key != number
    fresh = all(one.camera != view.camera for one in group.views)
    return known and fresh and not unlike and is_near(rule, group, view)


def tried(rule: Rule, state: State, group: Group) -> State:
    """After a whole part whose views were brought together by time: the next ones will tell."""
    times = [view.captured_ns for view in group.views if view.captured_ns is not None]
    members = {view.camera: state.seen[view.camera] for view in group.views}
    newest = all(members[view.camera].count == view.frame_id for view in group.views)
    before = [one.before_ns for one in members.values() if one.before_ns is not None]
    if not newest or any(one >= min(times) - rule.timeout_ns for one in before):
        return replace(state, trial=None)
    return replace(state, trial=Trial(members=members, first_ns=min(times), last_ns=max(times)))


def _shown(rule: Rule, trial: Trial, camera: str, now: Seen) -> Trial | None:
    """After another view; None where it says that the part did not stand alone, or a trigger was missed."""
    member = trial.members[camera]
    if camera in trial.passed:
        return trial if now.run == member.run and now.count > member.count else None
    well_after = now.captured_ns is not None and now.captured_ns > trial.last_ns + rule.timeout_ns
    if now.run != member.run or now.count != member.count + 1 or not well_after:
        return None
    return replace(trial, passed=(*trial.passed, camera))


def _in_step(state: State, trial: Trial) -> State:
    """All cameras are; what is open is numbered as far as it agrees."""
    number = next(iter(trial.members.values())).count
    offsets = {camera: one.count - number for camera, one in trial.members.items()}
    seen = {
        camera: replace(one, offset=offsets[camera]) if one.run == trial.members[camera].run else one
        for camera, one in state.seen.items()
    }
    state = replace(state, seen=seen, trial=None, told=())  # by other numbers
    return replace(state, groups=tuple(_numbered(state, group) for group in state.groups))


def _numbered(state: State, group: Group) -> Group:
    numbers = {number_of(state, view) for view in group.views}
    if len(numbers) != 1 or None in numbers:
        return replace(group, key=None, aligning=True)
    return replace(group, key=numbers.pop(), aligning=False)


def _seen(view: View) -> Seen:
    return Seen(count=view.frame_id, run=_run(view), captured_ns=view.captured_ns)


def _run(view: View) -> str:
    return f"{view.boot_id}/{view.epoch}"
