"""Every part ends once at its gate, at its moment or not at all, whatever order things are heard in."""

from __future__ import annotations

import random
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.messages import VerdictName
from agent.outputs.belt import Belt, place_at, read
from agent.outputs.nouns import Trigger
from tests.agent.outputs.belts import Stretch, TrueBelt
from tests.agent.outputs.playing import (
    MS,
    REJECTED,
    Blind,
    Heard,
    S,
    by_encoder,
    by_time,
    decision,
    play,
)

DISTANCE_MS, WINDOW_MS, PULSE_MS = 500, 20, 50

VERDICTS = st.sampled_from(("pass", "pass", "fail", "undecided", "skipped"))
# When it is seen, in ms after the one before; its verdict; how long that takes: None for never.
PARTS = st.lists(
    st.tuples(st.integers(0, 120), VERDICTS, st.one_of(st.integers(0, 700), st.none())), max_size=25
)
LATE = st.sampled_from(("reject", "pass"))


def line(parts: list[tuple[int, VerdictName, int | None]]) -> tuple[list[tuple[int, Heard]], dict[int, int]]:
    """What is heard, and when each part was seen."""
    events: list[tuple[int, Heard]] = []
    seen, now_ns = {}, 0
    for frame_id, (gap_ms, verdict, takes_ms) in enumerate(parts):
        now_ns += gap_ms * MS
        seen[frame_id] = now_ns
        events.append((now_ns, Trigger(frame_id=frame_id, captured_ns=now_ns)))
        if takes_ms is not None:
            at_ns = now_ns + takes_ms * MS
            events.append((at_ns, decision(frame_id, verdict, at_ns)))
    return events, seen


@given(parts=PARTS, when_late=LATE)
def test_every_part_ends_once_and_a_late_verdict_is_told_once_more(
    parts: list[tuple[int, VerdictName, int | None]], when_late: str
) -> None:
    events, seen = line(parts)
    played = play(by_time(when_late=when_late), events, 10 * S)
    firsts = [one for one in played.endings if one.cause != "late_verdict"]
    assert len(firsts) + played.passed == len(seen)
    assert len({one.frame_id for one in firsts}) == len(firsts)
    without = {one.frame_id for one in firsts if one.decision is None}
    later = [one.frame_id for one in played.endings if one.cause == "late_verdict"]
    assert sorted(later) == sorted(frame_id for frame_id in without if parts[frame_id][2] is not None)


@given(parts=PARTS, when_late=LATE)
def test_a_gate_that_answers_at_once_moves_within_the_parts_window_or_not_at_all(
    parts: list[tuple[int, VerdictName, int | None]], when_late: str
) -> None:
    events, seen = line(parts)
    played = play(by_time(when_late=when_late), events, 10 * S)
    for one in played.endings:
        if one.acted_ns is None or one.cause == "late_verdict":
            continue
        due_ns = seen[one.frame_id] + DISTANCE_MS * MS
        assert one.due_ns == due_ns and not one.is_late
        assert due_ns <= one.acted_ns <= due_ns + WINDOW_MS * MS


@given(parts=PARTS)
def test_with_verdicts_in_time_the_gate_is_open_for_the_pulses_of_what_is_rejected_and_else_never(
    parts: list[tuple[int, VerdictName, int | None]],
) -> None:
    """The plain twin: the union of the pulses, drawn by hand."""
    events, seen = line([(gap, verdict, 3) for gap, verdict, _ in parts])
    played = play(by_time(), events, 10 * S)
    wanted = [
        (seen[frame_id] + DISTANCE_MS * MS, seen[frame_id] + (DISTANCE_MS + PULSE_MS) * MS)
        for frame_id, (_, verdict, _) in enumerate(parts)
        if verdict in REJECTED
    ]
    union: list[tuple[int, int]] = []
    for begin, end in wanted:
        if union and begin < union[-1][1]:
            union[-1] = (union[-1][0], max(end, union[-1][1]))
        else:
            union.append((begin, end))
    touching = [pair for pair in union if pair[0] in {end for _, end in union}]
    if not touching:  # a pulse that begins as another ends may be one with it or not
        assert played.open == union


@given(parts=PARTS)
def test_a_good_part_is_told_as_rejected_exactly_where_the_gate_was_open_in_front_of_it(
    parts: list[tuple[int, VerdictName, int | None]],
) -> None:
    events, seen = line([(gap, verdict, 3) for gap, verdict, _ in parts])
    played = play(by_time(), events, 10 * S)
    told = {one.frame_id for one in played.endings if one.cause == "neighbour"}
    for frame_id, (_, verdict, _) in enumerate(parts):
        due_ns = seen[frame_id] + DISTANCE_MS * MS
        end_ns = due_ns + WINDOW_MS * MS
        inside = any(begin < end_ns and due_ns < end for begin, end in played.open)
        touched = any(begin <= end_ns and due_ns <= end for begin, end in played.open)
        if verdict == "pass" and inside == touched:
            assert (frame_id in told) == inside


@given(parts=PARTS, when_late=LATE, seed=st.integers(0, 2**31))
def test_what_is_heard_before_a_part_is_due_may_come_in_any_order(
    parts: list[tuple[int, VerdictName, int | None]], when_late: str, seed: int
) -> None:
    """Each decision before or behind its trigger, those of others in between."""
    events, _ = line(parts)
    rng = random.Random(seed)
    early = [(at_ns, what) if at_ns > 400 * MS else (rng.randrange(400 * MS), what) for at_ns, what in events]
    one = play(by_time(when_late=when_late), events, 10 * S)
    other = play(by_time(when_late=when_late), early, 10 * S)
    assert sorted(one.endings, key=str) == sorted(other.endings, key=str)
    assert one.open == other.open and one.passed == other.passed


@settings(deadline=None)
@given(parts=PARTS, when_late=LATE)
def test_who_looks_only_when_he_is_told_to_does_what_one_does_who_looks_every_millisecond(
    parts: list[tuple[int, VerdictName, int | None]], when_late: str
) -> None:
    """The plain twin of `next_ns`."""
    events, _ = line(parts[:10])
    told = play(by_time(when_late=when_late), events, 3 * S)
    every = play(by_time(when_late=when_late), events, 3 * S, every_ns=MS)
    assert told.endings == every.endings
    assert told.open == every.open


@given(parts=PARTS, when_late=LATE, hangs_ms=st.integers(0, 300), gives_up=st.integers(1, 4))
def test_whatever_the_gate_answers_and_when_nothing_is_lost_and_nothing_is_begun_after_a_deadline(
    parts: list[tuple[int, VerdictName, int | None]], when_late: str, hangs_ms: int, gives_up: int
) -> None:
    """It answers every so many times only, and late."""
    asked = 0
    begun: list[int] = []

    def gate(now_ns: int) -> int | None:
        nonlocal asked
        asked += 1
        begun.append(now_ns)
        return None if asked % gives_up else now_ns + hangs_ms * MS

    events, seen = line(parts)
    played = play(by_time(when_late=when_late), events, 20 * S, gate=gate)
    firsts = [one for one in played.endings if one.cause != "late_verdict"]
    assert len(firsts) + played.passed == len(seen)
    for one in firsts:
        end_ns = seen[one.frame_id] + (DISTANCE_MS + WINDOW_MS) * MS
        if one.action == "reject" and one.acted_ns is not None and not one.merged:
            assert any(at_ns <= end_ns for at_ns in begun)
            assert one.is_late == (one.acted_ns > end_ns)
        if one.action == "missed":
            assert one.cause in ("gate", "too_late")


@given(parts=PARTS, when_late=LATE, blind_ms=st.lists(st.integers(0, 3000), max_size=4))
def test_a_camera_that_is_blind_now_and_then_costs_no_part_its_end_and_opens_the_gate_for_what_it_did_not_see(
    parts: list[tuple[int, VerdictName, int | None]], when_late: str, blind_ms: list[int]
) -> None:
    events, seen = line(parts)
    blinds: list[tuple[int, Heard]] = [(at_ms * MS, Blind()) for at_ms in blind_ms]
    played = play(by_time(when_late=when_late), [*events, *blinds], 10 * S)
    firsts = [one for one in played.endings if one.cause != "late_verdict"]
    assert len(firsts) + played.passed == len(seen)
    if blind_ms and max(blind_ms) * MS > max((*seen.values(), 0)):  # and nobody was seen after that
        assert played.open[-1][1] == 10 * S


# -- by encoder ----------------------------------------------------------------------------------------------

SPEEDS = st.sampled_from((0.0, 800.0, 2000.0, 5000.0, -900.0))
STRETCHES = st.lists(
    st.builds(Stretch, st.integers(100, 900).map(lambda ms: ms * MS), SPEEDS), min_size=1, max_size=5
)
GAP_MS = 20
LONG = Stretch(20 * S, 2000.0)


def run(
    belt: TrueBelt,
    places: list[float],
    *,
    verdict: VerdictName = "fail",
    direction: Literal[1, -1] = 1,
) -> tuple[list[tuple[int, Heard]], dict[int, int]]:
    """Readings every GAP_MS, and a part for each place, seen when that is in front of the camera."""
    events: list[tuple[int, Heard]] = [
        (at_ns, belt.reading(at_ns)) for at_ns in range(0, 15 * S, GAP_MS * MS)
    ]
    seen = {}
    for frame_id, place in enumerate(places):
        at_ns = belt.when(place)
        if at_ns is not None and at_ns < 12 * S:
            seen[frame_id] = at_ns
            at_ns += 1
            events.append((at_ns, Trigger(frame_id=frame_id, captured_ns=at_ns, encoder=belt.count(at_ns))))
            events.append((at_ns, decision(frame_id, verdict, at_ns)))
    return events, seen


@settings(deadline=None, max_examples=60)
@given(stretches=STRETCHES, start=st.sampled_from((0, 77, 2**31 - 500, 2**32 - 900)))
def test_a_part_is_acted_on_when_the_belt_has_brought_it_to_the_gate_however_that_ran(
    stretches: list[Stretch], start: int
) -> None:
    """It may stand, turn and wrap its counter; what it did since the last reading is not known."""
    belt = TrueBelt([Stretch(500 * MS, 2000.0), *stretches, LONG], start=start)
    events, seen = run(belt, [300.0, 700.0, 1900.0])
    played = play(by_encoder(distance=1000, window=400), events, 15 * S)
    unseen_ticks = 2.5 * GAP_MS / 1000 * 5000  # of the fastest speed, as far as readings are relied on
    for frame_id in seen:
        (one,) = played.of(frame_id)
        assert one.action == "reject" and one.acted_ns is not None and not one.is_estimated
        from_gate = belt.place(one.acted_ns) - (belt.place(seen[frame_id]) + 1000)
        assert abs(from_gate) <= unseen_ticks + 1


@settings(deadline=None, max_examples=30)
@given(speed=st.sampled_from((500.0, 2000.0, 20_000.0)), reset_ms=st.integers(100, 3000))
def test_a_counter_that_is_reset_costs_no_part_and_those_on_their_way_say_so(
    speed: float, reset_ms: int
) -> None:
    belt = TrueBelt([Stretch(30 * S, speed)], resets_ns=(reset_ms * MS,), start=500_000)
    places = [speed * at_ms / 1000 for at_ms in (50, 400, 800, 1500, 2500)]
    events, seen = run(belt, places)
    distance = round(speed * 0.6)
    played = play(by_encoder(distance=distance, window=round(speed * 0.2)), events, 15 * S)
    for frame_id, seen_ns in seen.items():
        (one,) = played.of(frame_id)
        assert one.action == "reject" and one.acted_ns is not None
        due_ns = seen_ns + round(distance / speed * 1e9)
        assert abs(one.acted_ns - due_ns) <= 2.5 * GAP_MS * MS
        # Until the next reading nobody knows of the reset.
        if seen_ns < reset_ms * MS and due_ns > (reset_ms + GAP_MS) * MS:
            assert one.is_estimated
        if seen_ns > (reset_ms + GAP_MS) * MS or due_ns < reset_ms * MS:
            assert not one.is_estimated


@settings(deadline=None)
@given(stretches=STRETCHES, seed=st.integers(0, 2**31))
def test_readings_that_overtake_each_other_change_nothing(stretches: list[Stretch], seed: int) -> None:
    """One that is older than the newest says nothing new."""
    belt = TrueBelt([*stretches, LONG])
    readings = [belt.reading(at_ns) for at_ns in range(0, 3 * S, GAP_MS * MS)]
    rng = random.Random(seed)
    plain, other = Belt(), Belt()
    for place, one in enumerate(readings):
        plain, other = read(plain, one), read(other, one)
        other = read(other, readings[rng.randrange(place + 1)])
    assert plain == other
    assert abs(place_at(plain, readings[-1].at_ns) - belt.place(readings[-1].at_ns)) <= 1
