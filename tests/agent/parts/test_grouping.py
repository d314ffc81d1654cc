"""Which views are of one part, case by case; the worlds stand in tests/properties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from agent.contract.part import PartVerdict
from agent.parts.grouping import OPEN_MOST, due_ns, ended, passed, restored, taken
from agent.parts.verdict import verdict_of
from agent.parts.view import Rule, State, View
from tests.agent.parts.views import MADE, SECOND, rule, view


class Line:
    """A rule, and what became of its views so far; times in seconds."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.state = State()
        self.told: list[PartVerdict] = []
        self.sequence = 0

    def see(self, one: View, at_s: float) -> Sequence[PartVerdict]:
        """What is decided by a view that came then; without another time of its own it was captured then."""
        self.sequence += 1
        captured_ns = round(at_s * SECOND) if one.captured_ns is None else one.captured_ns
        one = replace(one, sequence=self.sequence, captured_ns=captured_ns)
        self.state, done = taken(self.rule, self.state, one, round(at_s * SECOND))
        return self._told([verdict_of(self.rule, each, MADE) for each in done])

    def wait(self, at_s: float) -> Sequence[PartVerdict]:
        self.state, done = passed(self.rule, self.state, round(at_s * SECOND))
        return self._told([verdict_of(self.rule, each, MADE) for each in done])

    def _told(self, parts: list[PartVerdict]) -> Sequence[PartVerdict]:
        self.told += parts
        return parts


def said(parts: Sequence[PartVerdict]) -> list[tuple[str, str | None, list[str]]]:
    return [(part.verdict, part.reason, [view.result_id for view in part.views]) for part in parts]


def test_the_worst_view_decides() -> None:
    for verdicts, expected in (
        (("pass", "pass"), ("pass", None)),
        (("pass", "fail"), ("fail", None)),
        (("fail", "skipped"), ("fail", None)),
        (("pass", "undecided"), ("undecided", "view_undecided")),
        (("skipped", "pass"), ("undecided", "view_undecided")),
    ):
        line = Line(rule("part_id"))
        line.see(view("top", verdict=verdicts[0], part_id="A"), 1.0)  # type: ignore[arg-type]
        (part,) = line.see(view("side", verdict=verdicts[1], part_id="A"), 1.1)  # type: ignore[arg-type]
        assert (part.verdict, part.reason) == expected
        assert part.result_evaluation_code == {"pass": 1, "fail": 2, "undecided": 3}[part.verdict]
        assert (part.part_id, part.key, part.missing) == ("A", "A", ())


def test_a_missing_view_is_undecided_at_the_time_out_and_never_a_pass() -> None:
    line = Line(rule("part_id"))
    line.see(view("top", part_id="A"), 1.0)
    assert due_ns(line.rule, line.state) == 2 * SECOND
    assert line.wait(1.999) == []
    (part,) = line.wait(2.0)
    assert (part.verdict, part.reason, part.missing) == ("undecided", "view_missing", ("side",))
    assert part.detail == "no view of side came in time: within 1 s, and before 200 newer parts"
    assert due_ns(line.rule, line.state) is None


def test_a_part_with_a_failed_view_and_one_missing_fails() -> None:
    line = Line(rule("part_id"))
    line.see(view("top", verdict="fail", part_id="A"), 1.0)
    (part,) = line.wait(2.0)
    assert (part.verdict, part.reason, part.missing) == ("fail", None, ("side",))


def test_a_late_view_has_a_part_verdict_of_its_own_that_names_the_one_it_missed() -> None:
    line = Line(rule("part_id"))
    line.see(view("top", part_id="A"), 1.0)
    (missed,) = line.wait(2.0)
    (late,) = line.see(view("side", part_id="A"), 2.1)
    assert (late.verdict, late.reason, late.late_for) == ("undecided", "late_view", missed.result_id)
    (failed,) = line.see(view("side", verdict="fail", part_id="A"), 2.2)
    assert (failed.verdict, failed.late_for) == ("fail", missed.result_id)


def test_a_part_that_comes_again_is_another_one() -> None:
    line = Line(rule("part_id"))
    for at_s in (1.0, 1.5):
        line.see(view("top", result_id=f"top-{at_s}", part_id="A"), at_s)
        (part,) = line.see(view("side", result_id=f"side-{at_s}", part_id="A"), at_s + 0.1)
        assert said([part]) == [("pass", None, [f"top-{at_s}", f"side-{at_s}"])]


def test_one_code_seen_twice_while_another_view_is_awaited_leaves_both_undecided() -> None:
    line = Line(rule("part_id"))
    line.see(view("top", result_id="first", part_id="A"), 1.0)
    assert said(line.see(view("top", result_id="again", part_id="A"), 1.2)) == [
        ("undecided", "seen_twice", ["first"])
    ]
    assert said(line.see(view("side", result_id="whose", part_id="A"), 1.3)) == [
        ("undecided", "seen_twice", ["again", "whose"])
    ]


@pytest.mark.parametrize("by", ["part_id", "message", "encoder"])
def test_a_view_that_bears_nothing_is_undecided_alone(by: str) -> None:
    line = Line(rule(by, window_ticks=4 if by == "encoder" else 0))  # type: ignore[arg-type]
    (part,) = line.see(view("top"), 1.0)
    assert (part.verdict, part.reason, part.missing) == ("undecided", "no_key", ("side",))


def test_by_message_one_id_in_two_messages_is_two_parts() -> None:
    line = Line(rule("message"))
    line.see(view("top", part_id="A", bind_id="m1"), 1.0)
    line.see(view("side", part_id="A", bind_id="m2"), 1.1)
    assert {one.reason for one in line.wait(3.0)} == {"view_missing"}
    assert [one.part_id for one in line.told] == ["A", "A"]


def test_views_of_one_key_that_bear_different_part_ids_are_mixed() -> None:
    line = Line(rule("message"))
    line.see(view("top", part_id="A", bind_id="m1"), 1.0)
    (part,) = line.see(view("side", part_id="B", bind_id="m1"), 1.1)
    assert (part.verdict, part.reason, part.part_id) == ("undecided", "mixed_ids", None)


def encoder() -> Line:
    return Line(rule("encoder", window_ticks=4, offsets={"side": 400}))


def test_by_encoder_views_meet_at_their_place_on_the_belt() -> None:
    line = encoder()
    line.see(view("top", encoder=100), 1.0)
    line.see(view("top", encoder=200), 1.2)
    (first,) = line.see(view("side", encoder=503), 1.5)
    (second,) = line.see(view("side", encoder=598), 1.7)
    assert [(one.verdict, one.key) for one in (first, second)] == [("pass", "100"), ("pass", "200")]


def test_a_place_within_the_window_of_two_parts_is_told() -> None:
    line = encoder()
    line.see(view("top", encoder=100), 1.0)
    line.see(view("top", encoder=106), 1.1)
    (part,) = line.see(view("side", encoder=503), 1.5)
    assert (part.verdict, part.reason) == ("undecided", "two_parts")


def test_an_encoder_that_runs_backwards_ends_what_is_open_and_goes_on() -> None:
    line = encoder()
    line.see(view("top", encoder=1000), 1.0)
    assert said(line.see(view("top", encoder=900), 1.1)) == [("undecided", "encoder_back", ["top-1"])]
    (whose,) = line.see(view("side", encoder=1400, captured_ns=round(1.05 * SECOND)), 1.2)
    assert (whose.verdict, whose.reason) == ("undecided", "encoder_back")
    line.wait(3.0)
    line.see(view("top", encoder=1000), 4.0)
    (part,) = line.see(view("side", encoder=1400), 4.3)
    assert part.verdict == "pass"


def test_a_count_that_begins_again_does_not_merge_the_part_before_with_the_one_behind() -> None:
    """Both stand at 100 of their own count."""
    line = encoder()
    line.see(view("top", encoder=50), 0.9)
    line.see(view("top", encoder=100), 1.0)
    line.see(view("top", encoder=2), 1.1)  # it began again
    line.see(view("top", result_id="second", encoder=100), 1.2)
    before = view("side", result_id="before", encoder=500, captured_ns=round(1.05 * SECOND))
    assert said(line.see(before, 1.3)) == [("undecided", "encoder_back", ["before"])]
    since = view("side", result_id="since", encoder=500, captured_ns=round(1.25 * SECOND))
    assert said(line.see(since, 1.3)) == [("pass", None, ["second", "since"])]


def triggers(line: Line, number: int, at_s: float, *, side: int = 0, epoch: int = 0) -> Sequence[PartVerdict]:
    """One part that both cameras saw; `side` is what that camera's counter is ahead."""
    first = line.see(view("top", frame_id=number, result_id=f"top-{at_s}"), at_s)
    return [
        *first,
        *line.see(view("side", frame_id=number + side, epoch=epoch, result_id=f"side-{at_s}"), at_s + 0.01),
    ]


def test_by_trigger_the_first_part_is_undecided_and_brings_counters_in_step() -> None:
    line = Line(rule("trigger"))
    assert said(triggers(line, 7, 10.0, side=30)) == [("undecided", "out_of_step", ["top-10.0", "side-10.0"])]
    for number, at_s in ((8, 12.0), (9, 12.3), (10, 12.4)):  # from now on parts may come close
        (part,) = triggers(line, number, at_s, side=30)
        assert (part.verdict, part.key) == ("pass", str(number))


def test_by_trigger_parts_that_never_stand_alone_are_never_decided() -> None:
    line = Line(rule("trigger"))
    for number in range(20):
        triggers(line, number, 10.0 + number * 0.8)
    line.wait(60.0)
    assert {one.verdict for one in line.told} == {"undecided"}
    triggers(line, 20, 70.0)
    (part,) = triggers(line, 21, 72.0)
    assert part.verdict == "pass", "one pause brings them in step"


def test_a_counter_that_begins_again_merges_nothing_and_finds_back_by_itself() -> None:
    line = Line(rule("trigger"))
    for number, at_s in ((1, 10.0), (2, 12.0), (3, 14.0)):
        triggers(line, number, at_s)
    line.see(view("top", frame_id=4, result_id="a"), 16.0)
    line.see(view("side", frame_id=1, epoch=1, result_id="b"), 16.01)
    assert line.told[-1].reason == "out_of_step"
    (part,) = triggers(line, 5, 18.0, side=-3, epoch=1)
    assert (part.verdict, part.key is not None) == ("pass", True)


def test_a_camera_that_missed_a_trigger_uncounted_is_found_out_by_its_next_view() -> None:
    line = Line(rule("trigger"))
    for number, at_s in ((1, 10.0), (2, 12.0)):
        triggers(line, number, at_s)
    line.see(view("top", frame_id=3), 14.0)  # side saw nothing and counted nothing
    told = [*line.wait(15.5), *triggers(line, 4, 16.0, side=-1)]
    assert [one.reason for one in told] == ["view_missing", "late_view"]
    line.wait(17.5)
    triggers(line, 5, 18.0, side=-1)
    (part,) = triggers(line, 6, 20.0, side=-1)
    assert part.verdict == "pass"
    assert all(one.verdict != "pass" for one in line.told[2:-1])


def test_a_view_that_was_taken_already_changes_nothing() -> None:
    line = Line(rule("part_id"))
    one = view("top", sequence=5, part_id="A")
    state, _ = taken(line.rule, State(), one, SECOND)
    assert taken(line.rule, state, one, 2 * SECOND) == (state, ())


def test_after_a_restart_time_begins_anew_and_an_open_part_is_decided_once() -> None:
    line = Line(rule("part_id"))
    line.see(view("top", part_id="A"), 500.0)
    line.state = restored(line.state, 3 * SECOND, line.sequence)  # of another clock, far behind
    assert line.wait(3.9) == []
    (part,) = line.wait(4.0)
    assert part.reason == "view_missing"
    line.state = restored(line.state, 0, line.sequence)
    (late,) = line.see(view("side", part_id="A"), 0.5)
    assert late.late_for == part.result_id


def test_parts_that_wait_are_bounded_and_the_oldest_is_told() -> None:
    line = Line(rule("part_id", timeout_s=600.0))
    for number in range(OPEN_MOST + 3):
        line.see(view("top", part_id=f"P{number}"), 1.0)
    assert [part.part_id for part in line.told] == ["P0", "P1", "P2"]
    assert len(line.state.groups) == OPEN_MOST


def test_a_rule_that_is_no_more_decides_what_it_left_open() -> None:
    line = Line(rule("part_id"))
    line.see(view("top", part_id="A"), 1.0)
    state, done = ended(line.rule, line.state, SECOND)
    assert [one.missing for one in done] == [("side",)] and state.groups == ()
