"""A record says the part that was said last before its trigger was captured, and each part is told once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agent.clock import ManualClock
from agent.contract.arguments import Bind
from agent.contract.commands import NotDoneError
from agent.line.binding import GRACE_NS, KEPT, Bound, Job, Part, Timeline, bound, settled
from agent.line.bindings import BindingError, Bindings

SECOND_NS = 1_000_000_000
CAMERAS = ["top", "side"]


def bindings(folder: Path, clock: ManualClock | None = None) -> Bindings:
    made = Bindings(CAMERAS, path=folder / "bindings.json", clock=clock or ManualClock())
    made.open()
    return made


def test_without_a_word_a_trigger_belongs_to_nothing(tmp_path: Path) -> None:
    assert bindings(tmp_path).of("top", 5) == Bound()
    assert bindings(tmp_path).of("another", 5) == Bound()


def test_the_next_trigger_is_the_part_and_no_other(tmp_path: Path) -> None:
    one = bindings(tmp_path)
    assert one.bind(Bind(part_id="A"), 100) == ("top", "side")
    assert [one.of("top", at).part_id for at in (99, 100, 101)] == [None, "A", None]
    assert one.of("side", 500).part_id == "A", "every camera sees it once"


def test_a_trigger_that_was_captured_earlier_keeps_the_part_of_its_time(tmp_path: Path) -> None:
    one = bindings(tmp_path)
    one.bind(Bind(part_id="A", camera="top"), 100)
    one.bind(Bind(part_id="B", camera="top"), 200)  # while the trigger at 150 is still being judged
    assert [one.of("top", at).part_id for at in (150, 250)] == ["A", "B"]


def test_a_trigger_that_never_came_does_not_shift_those_that_follow(tmp_path: Path) -> None:
    one = bindings(tmp_path)
    for at, part in ((100, "A"), (200, "B"), (300, "C")):
        one.bind(Bind(part_id=part, camera="top"), at)
    assert [one.of("top", at).part_id for at in (250, 350)] == ["B", "C"]
    assert [(camera, part.part_id) for camera, part in one.unused()] == [("top", "A")]
    assert one.unused() == []
    assert one.unused_told == 1


def test_a_part_waits_no_longer_than_it_was_told_to(tmp_path: Path) -> None:
    one = bindings(tmp_path)
    one.bind(Bind(part_id="A", camera="top", timeout_s=2.0), 0)
    assert one.of("top", 2 * SECOND_NS + 1) == Bound()
    assert [part.part_id for _, part in one.unused()] == ["A"]
    one.bind(Bind(part_id="B", camera="top", timeout_s=2.0), 3 * SECOND_NS)
    assert one.of("top", 5 * SECOND_NS).part_id == "B"
    assert one.unused() == []


def test_a_part_whose_time_is_over_is_told_of_when_no_record_of_that_time_can_come(tmp_path: Path) -> None:
    clock = ManualClock()
    one = bindings(tmp_path, clock)
    one.bind(Bind(part_id="A", camera="side", timeout_s=1.0), 0)
    clock.advance(1 + GRACE_NS / SECOND_NS - 0.1)
    assert one.unused() == [], "a trigger may be on its way through the line"
    clock.advance(0.2)
    assert [(camera, part.part_id) for camera, part in one.unused()] == [("side", "A")]


def test_in_a_window_every_trigger_is_the_part(tmp_path: Path) -> None:
    one = bindings(tmp_path)
    one.bind(Bind(part_id="A", applies_to="window", timeout_s=1.0), 10)
    got = [one.of("top", at).part_id for at in (9, 10, SECOND_NS, 10 + SECOND_NS, 11 + SECOND_NS)]
    assert got == [None, "A", "A", "A", None]


def test_until_changed_holds_over_a_restart_and_so_does_the_order(tmp_path: Path) -> None:
    one = bindings(tmp_path)
    one.bind(Bind(part_id="A", applies_to="until_changed", job_id="WO-1"), 10)
    one.bind(Bind(job_id="WO-2", camera="side"), 20)
    again = bindings(tmp_path)
    top, side = again.of("top", 5), again.of("side", 5)
    assert top.bind_id is not None and (top.bind_id, top.part_id) == (side.bind_id, side.part_id)
    assert top == Bound(part_id="A", bind_id=top.bind_id, job_id="WO-1")
    assert side == Bound(part_id="A", bind_id=top.bind_id, job_id="WO-2")
    again.bind(Bind(part_id=None, job_id=None), 30)
    assert again.of("top", 40) == Bound()
    assert bindings(tmp_path).of("side", 5) == Bound()


def test_each_message_has_an_id_of_its_own_though_it_names_the_same_part(tmp_path: Path) -> None:
    one = bindings(tmp_path)
    ids = []
    for at in (10, 20):
        one.bind(Bind(part_id="A"), at)
        ids.append([one.of(camera, at + 5).bind_id for camera in CAMERAS])
    assert [len(set(both)) for both in ids] == [1, 1]
    assert ids[0][0] != ids[1][0] and None not in ids[0]


def test_an_order_holds_until_it_is_changed_whatever_parts_come(tmp_path: Path) -> None:
    one = bindings(tmp_path)
    one.bind(Bind(job_id="WO-1"), 10)
    one.bind(Bind(part_id="A"), 20)
    one.bind(Bind(job_id="WO-2"), 40)
    got = [one.of("top", at) for at in (15, 25, 30, 45)]
    assert [each.job_id for each in got] == ["WO-1", "WO-1", "WO-1", "WO-2"]
    assert [each.part_id for each in got] == [None, "A", None, None]


def test_a_part_that_comes_after_its_trigger_has_its_record_is_refused(tmp_path: Path) -> None:
    one = bindings(tmp_path)
    one.of("side", 150)
    with pytest.raises(NotDoneError, match="side") as refused:
        one.bind(Bind(part_id="A", job_id="WO-1"), 100)
    assert refused.value.kind == "late"
    assert one.of("top", 200) == Bound(), "all of it or nothing"
    one.bind(Bind(part_id="A", camera="top"), 300)
    one.bind(Bind(part_id="A", camera="side", applies_to="window"), 100)


def test_a_camera_that_there_is_not_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(NotDoneError, match="no camera 'left'; there are top, side"):
        bindings(tmp_path).bind(Bind(part_id="A", camera="left"), 1)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"7", b"\xff", b'{"top": {"job_id": 7}}', b'{"top": 1}', b"[" * 10**5]
)
def test_a_file_that_cannot_be_read_binds_nothing_and_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bindings.json").write_bytes(content)
    with capture_logs() as logs:
        one = bindings(tmp_path)
    assert [log["event"] for log in logs] == ["bindings_unreadable"]
    assert one.of("top", 1) == Bound()
    one.bind(Bind(job_id="WO-1"), 2)
    assert json.loads((tmp_path / "bindings.json").read_text())["top"]["job_id"] == "WO-1"


def test_what_cannot_be_kept_is_said_with_its_file(tmp_path: Path) -> None:
    one = bindings(tmp_path / "gone")
    with pytest.raises(BindingError, match=r"bindings\.json: No such file.* until the agent ends"):
        one.bind(Bind(job_id="WO-1"), 1)
    assert one.of("top", 2).job_id == "WO-1"
    one.bind(Bind(part_id="A"), 3)  # is not kept


@dataclass(frozen=True)
class Told:
    """Something said at a time: a part (None: no part), for how long, for one trigger or all."""

    at: int
    part: str | None
    lasts: int | None
    once: bool


tellings = st.lists(
    st.builds(
        Told,
        at=st.integers(0, 300),
        part=st.none() | st.sampled_from("ABCDE"),
        lasts=st.none() | st.integers(1, 100),
        once=st.booleans(),
    ),
    max_size=12,
)
triggers = st.lists(st.integers(0, 400), max_size=25, unique=True)


def expected(told: Sequence[Told], captured: Sequence[int]) -> list[str | None]:
    """By the plain rule: the last one said before the trigger; if once, its first trigger."""
    answers: list[str | None] = []
    used: set[int] = set()
    for at in captured:
        before = [number for number, one in enumerate(told) if one.at <= at]
        number = before[-1] if before else None
        one = None if number is None else told[number]
        if (
            one is None
            or (one.lasts is not None and at > one.at + one.lasts)
            or (one.once and number in used)
        ):
            answers.append(None)
        else:
            used.add(number or 0)
            answers.append(one.part)
    return answers


@given(tellings, triggers, st.lists(st.integers(0, 40), min_size=40, max_size=40))
def test_whenever_records_are_made_the_part_is_that_of_the_time_of_capture(
    tellings: list[Told], triggers: list[int], delays: list[int]
) -> None:
    """Records are made up to 40 after their capture, in order; words are heard and settled in between."""
    told = sorted(tellings, key=lambda one: one.at)
    captured = sorted(triggers)
    recorded = 0
    moments: list[tuple[int, int, Told | int]] = [(one.at, 0, one) for one in told]
    for at, delay in zip(captured, delays, strict=False):
        recorded = max(recorded, at + delay)
        moments.append((recorded, 1, at))
    timeline, got, unused = Timeline(), [], 0
    for now, _, what in sorted(moments, key=lambda one: one[:2]):
        if isinstance(what, Told):
            part = Part(
                part_id=what.part,
                from_ns=what.at,
                until_ns=None if what.lasts is None else what.at + what.lasts,
                once=what.once,
                used=what.part is None,
            )
            timeline = replace(timeline, parts=(*timeline.parts, part))
        else:
            timeline, said = bound(timeline, what)
            got.append(said.part_id)
        timeline, parts = settled(timeline, now + GRACE_NS - 50)
        unused += len(parts)
    assert got == expected(told, captured)
    timeline, parts = settled(timeline, 10**6 + GRACE_NS)
    distinct = {(one.at, one.part) for one in told if one.part is not None}
    assert unused + len(parts) <= len([one for one in told if one.part is not None])
    if not captured:
        ending = [one for one in told[:-1] if one.part] + [one for one in told[-1:] if one.part and one.lasts]
        assert unused + len(parts) == len(ending) <= max(len(distinct), len(ending))
    assert len(timeline.parts) == 1


def test_what_is_remembered_is_bounded() -> None:
    timeline = Timeline()
    for at in range(1000):
        part = Part(part_id=str(at), from_ns=at, once=True)
        timeline = replace(
            timeline, parts=(*timeline.parts, part), jobs=(*timeline.jobs, Job(job_id="j", from_ns=at))
        )
        timeline, _ = settled(timeline, 0)
    assert len(timeline.parts) == len(timeline.jobs) == KEPT
    assert bound(timeline, 10**9)[1] == Bound(part_id="999", job_id="j")
