"""A roll's map has every window and every defect once, at its place on the web."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.clock import ManualClock
from agent.contract.events import EventMaker
from agent.contract.verdict import Verdict
from agent.messages import Scale
from agent.rolls.event import DEFECTS_TOLD, tell_roll
from agent.rolls.roll_map import RED, draw, strongest, write
from agent.rolls.rolls import Roll, Rolls
from agent.schemas import examples
from tests.agent.line.records import TOPICS

SCALE = Scale(mm_per_px=0.5, mm_per_line=2.0)


def rolls(lines: int = 0) -> tuple[Rolls, ManualClock]:
    clock = ManualClock()
    return Rolls({"top": lines}, {"top": SCALE}, clock), clock


def tell(into: Rolls, clock: ManualClock, first_line: int, verdict: str = "pass", **more: Any) -> str | None:
    """A record of a window of 100 lines and 400 px, as the publisher has it made and committed."""
    clock.advance(1)
    roll_id = into.roll_id("top", first_line)
    frame = {
        "id": 0,
        "first_line": first_line,
        "lines": 100,
        "lines_lost": 0,
        "encoder": None,
        "sha256": None,
    }
    plain = examples.plain(examples.verdict())
    record = Verdict.model_validate(
        {
            **plain,
            "camera": "top",
            "verdict": verdict,
            "defects": [],
            "roll_id": roll_id,
            "frame": frame,
            **more,
        }
    )
    into.take(record, 400)
    return roll_id


def defect(box: tuple[int, int, int, int], *, score: float = 1.0, web: Any = None) -> dict[str, Any]:
    return {"index": 0, "score": score, "bbox_px": box, "bbox_web": web, "area_px": 50}


def test_a_roll_without_length_ends_with_the_agent_and_has_everything() -> None:
    into, clock = rolls()
    ids = [
        tell(into, clock, 500),
        tell(into, clock, 600),
        tell(
            into,
            clock,
            700,
            "fail",
            defects=[defect((3, 4, 5, 6)), defect((0, 0, 2, 2), web=(0, 690, 2, 12))],
        ),
        tell(into, clock, 800, "skipped", frame={**frame_of(800, 0), "lines_lost": 300}),
    ]
    assert len(set(ids)) == 1 and into.ended() == []
    (roll,) = into.close()
    assert (roll.first_line, roll.lines, roll.lines_lost, roll.width_px) == (500, 600, 300, 400)
    assert roll.windows == {"pass": 2, "fail": 1, "undecided": 0, "skipped": 1}
    assert [(s.first_line, s.lines, s.verdict) for s in roll.stretches] == [
        (500, 200, "pass"),
        (700, 100, "fail"),
        (800, 300, "skipped"),
    ]
    assert [one.box for one in roll.defects] == [(3, 704, 5, 6), (0, 690, 2, 12)]
    assert roll.ended - roll.began == timedelta(seconds=3)
    assert into.close() == []


def frame_of(first_line: int, lines: int) -> dict[str, Any]:
    return {
        "id": 0,
        "first_line": first_line,
        "lines": lines,
        "lines_lost": 0,
        "encoder": None,
        "sha256": None,
    }


def test_rolls_of_a_length_end_at_its_multiples_wherever_windows_lie() -> None:
    into, clock = rolls(lines=250)
    ids = [tell(into, clock, 1000 + 100 * n) for n in range(8)]
    assert [ids.index(one) for one in ids] == [0, 0, 0, 3, 3, 5, 5, 5]
    assert [(roll.first_line, roll.lines) for roll in into.ended()] == [(1000, 300), (1300, 200)]
    assert [(roll.first_line, roll.lines) for roll in into.close()] == [(1500, 300)]


def test_a_coordinate_that_starts_again_is_another_roll() -> None:
    into, clock = rolls()
    first, second = tell(into, clock, 900), tell(into, clock, 0)
    assert first != second
    assert [roll.roll_id for roll in into.ended()] == [first]


def test_cameras_without_roll_maps_have_no_rolls() -> None:
    into, _ = rolls()
    assert into.roll_id("side", 0) is None
    into.take(examples.verdict(), 100)
    assert into.close() == []


def a_roll(defects: int = 1) -> Roll:
    into, clock = rolls()
    for number in range(20):
        tell(into, clock, 1000 + 100 * number)
    for number in range(defects):
        box = defect((200, 54, 10, 2), score=number + 1)
        tell(into, clock, 3000 + 100 * number, "fail", defects=[box])
    (roll,) = into.close()
    return roll


def test_the_picture_has_a_dot_where_the_defect_is() -> None:
    picture = draw(a_roll())
    dots = np.all(picture == RED, axis=2).astype(np.uint8)
    _, _, _, centres = cv2.connectedComponentsWithStats(dots[120:])  # below the legend
    # 2100 lines are 21 times as long as the web is wide: three rows of 700 lines, 206 px apart.
    assert abs(centres[1][0] - (90 + (2055 - 1400) / 700 * 1420)) <= 2
    assert abs(centres[1][1] - (2 * 206 + 150 * 205 / 400)) <= 2
    assert draw(a_roll(0)).shape[1] == 1600


def test_the_files_have_all_and_the_event_the_strongest(tmp_path: Path) -> None:
    roll = a_roll(DEFECTS_TOLD + 5)
    clock = ManualClock()
    events = EventMaker(TOPICS, boot_id="boot", clock=clock, new_id=lambda: "id")
    row, written = tell_roll(roll, tmp_path / "maps", events)
    assert written
    event = json.loads(row.payload)
    assert (event["event"], event["severity"]) == ("roll_map", "info")
    assert [one["score"] for one in event["data"]["defects"]] == [
        d.score for d in strongest(roll, DEFECTS_TOLD)
    ]
    written, picture = (Path(file) for file in event["data"]["files"])
    stored = json.loads(written.read_text())
    assert stored["schema"] == "plumbline.roll_map/1" and len(stored["defects"]) == DEFECTS_TOLD + 5
    assert stored["defects"][0]["centre_mm"] == [102.5, 6110.0]
    assert cv2.imread(str(picture)).shape[1] == 1600
    assert sorted(one.name for one in (tmp_path / "maps").iterdir()) == sorted([written.name, picture.name])


def test_a_map_that_cannot_be_written_is_a_warning_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    events = EventMaker(TOPICS, boot_id="boot", clock=ManualClock(), new_id=lambda: "id")
    row, written = tell_roll(a_roll(), tmp_path / "file", events)
    assert not written
    event = json.loads(row.payload)
    assert event["severity"] == "warning" and str(tmp_path / "file") in event["detail"]
    assert event["data"]["files"] == [] and event["data"]["defects"]


def test_writing_twice_replaces_the_map_whole(tmp_path: Path) -> None:
    roll = a_roll()
    assert write(roll, tmp_path) == write(roll, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
