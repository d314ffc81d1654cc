"""What each verb does with a station of fakes, from the message to its answers, through the desk."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from agent.clock import ManualClock
from agent.contract.arguments import COMMANDS
from agent.contract.commands import NotDoneError
from agent.contract.judging import MarkResult
from agent.contract.mark import Way
from agent.line.holds import Holds
from agent.marks.decide import Marked
from agent.marks.file import NoRoomForMarksError
from agent.remote.commands import desk as desks
from agent.remote.commands.asked import NOBODY
from agent.remote.commands.goods import Good
from agent.remote.commands.signing import Signers, Spent
from agent.remote.commands.snapshots import Snapshots, answer_of
from agent.remote.commands.station import Found
from agent.schemas import examples
from tests.agent.remote import fakes
from tests.agent.remote.commands.test_desk import Counter, Station, ping
from tests.agent.remote.commands.test_signing import KEY, signed
from tests.agent.remote.fakes import (
    FakeArchive,
    FakeDoctor,
    FakeRecipes,
    FakeRollouts,
    FakeSettings,
    Levels,
    Told,
    entry,
    said,
    standing,
)
from tests.agent.uplink.asking import command, request
from tests.brokers import eventually


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def counter_of(clock: ManualClock, folder: Path, **parts: Any) -> Counter:
    holds = Holds(["top"], path=folder / "holds.json", clock=clock)
    return Counter(Station(), clock, folder=folder, **{"holds": holds, **parts})


def answers(counter: Counter, name: str, id_: str = "c-1", **args: Any) -> list[dict[str, Any]]:
    """Of one command, the last one last."""
    before = len(counter.station.answers())
    counter.serve_here(command(name, request(id=id_, args=args)))
    return [dict(one) for one in counter.station.answers()[before:]]


def answer(counter: Counter, name: str, id_: str = "c-1", **args: Any) -> dict[str, Any]:
    (one,) = answers(counter, name, id_, **args)
    return one


def test_a_pause_is_recorded_with_who_and_why_and_told_once(clock: ManualClock, tmp_path: Path) -> None:
    told = Told()
    counter = counter_of(clock, tmp_path, tell=told)
    data = answer(counter, "pause", reason="gripper", who="shift lead")["data"]
    assert data == {"paused": {"since": "2026-01-01T00:00:00.000Z", "who": "shift lead", "reason": "gripper"}}
    assert answer(counter, "pause", "c-2", reason="lunch")["data"] == data, "the first one holds"
    assert answer(counter, "resume", "c-3")["data"] == {"was_paused": True}
    assert answer(counter, "resume", "c-4")["data"] == {"was_paused": False}
    assert told.names() == ["paused", "resumed"]
    assert told.events[1][1] == {"who": "somebody who did not say"}


def test_a_camera_is_disabled_and_enabled_with_who_and_why(clock: ManualClock, tmp_path: Path) -> None:
    told = Told()
    counter = counter_of(clock, tmp_path, tell=told)
    data = answer(counter, "disable", camera="top", reason="lens", who="a")["data"]
    assert data["disabled"]["reason"] == "lens"
    assert answer(counter, "enable", "c-2", camera="top")["data"] == {"camera": "top", "was_disabled": True}
    wrong = answer(counter, "disable", "c-3", camera="side", reason="lens")
    assert (wrong["code"], wrong["data"]) == (422, {"kind": "bad_arguments"})
    assert told.names() == ["camera_disabled", "camera_enabled"]


def test_the_log_says_who_asked_and_leaves_pictures_out(clock: ManualClock, tmp_path: Path) -> None:
    pictures = Snapshots(["top"])
    pictures._shots["top"] = fakes.shot(fakes.frame())
    counter = counter_of(clock, tmp_path, pictures=pictures)
    with capture_logs() as logs:
        answer(counter, "snapshot")
        answer(counter, "pause", "c-2", reason="gripper", who="lead")
    looked, paused = [one for one in logs if one["event"] == "command_performed"]
    assert looked["camera"] == "top" and "jpeg" not in looked and "by" not in looked
    assert paused["by"] == "lead"


def test_what_cannot_be_recorded_does_not_hold(clock: ManualClock, tmp_path: Path) -> None:
    holds = Holds(["top"], path=tmp_path / "gone" / "holds.json", clock=clock)
    told = Told()
    counter = counter_of(clock, tmp_path, holds=holds, tell=told)
    assert answer(counter, "pause", reason="gripper")["code"] == 500
    assert answer(counter, "disable", "c-2", camera="top", reason="lens")["code"] == 500
    assert holds.paused is None and not holds.disabled and not told.events


def test_a_snapshot_is_the_latest_picture_within_its_bytes(clock: ManualClock, tmp_path: Path) -> None:
    pictures = Snapshots(["top"])
    counter = counter_of(clock, tmp_path, pictures=pictures)
    nothing = answer(counter, "snapshot")
    assert (nothing["code"], nothing["data"]) == (404, {"kind": "not_found"})
    pictures._shots["top"] = fakes.shot(fakes.frame(shape=(600, 800)))
    clock.advance(2.5)
    data = answer(counter, "snapshot", "c-2", max_bytes=20_000)["data"]
    jpeg = base64.b64decode(data["jpeg"])
    assert len(jpeg) <= 20_000 and hashlib.sha256(jpeg).hexdigest() == data["sha256"]
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape[:2] == (data["height"], data["width"])
    assert (data["frame_width"], data["frame_height"], data["age_s"]) == (800, 600, 2.5)
    wrong = answer(counter, "snapshot", "c-3", camera="side")
    assert wrong["data"] == {"kind": "bad_arguments"}


@pytest.mark.parametrize("shape", [(1, 1), (3, 4000), (5000, 2), (700, 700)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_picture_fits_into_the_fewest_bytes_that_may_be_asked_for(
    shape: tuple[int, int], channels: int
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, channels), np.uint8)
    seen = fakes.shot(fakes.frame())
    data = answer_of(
        type(seen)(item=seen.item, picture=noise, verdict=seen.verdict), max_bytes=2000, clock=ManualClock()
    )
    assert len(base64.b64decode(str(data["jpeg"]))) <= 2000


def test_the_log_level_holds_for_a_time_or_until_the_next_start(clock: ManualClock, tmp_path: Path) -> None:
    levels = Levels()
    counter = counter_of(clock, tmp_path, logs=levels)
    data = answer(counter, "log_level", level="debug", for_s=60.0)["data"]
    assert levels.level == "debug" and data["until"].startswith("2026-11-24T07:16:03")
    assert answer(counter, "log_level", "c-2", level="info")["data"]["until"] is None
    assert answer(counter, "log_level", "c-3", level="loud")["code"] == 422


FOUND = (
    Found(family="disk", check="room", state="note", words="little room", remedy="make some"),
    Found(family="broker", check="reach", state="wrong", words="not reached", remedy="see the cable"),
    Found(family="disk", check="speed", state="ok", words="fast", remedy=""),
    Found(family="disk", check="filesystem", state="skipped", words="none", remedy=""),
)


def test_the_doctor_answers_at_once_that_it_looks_and_then_what_it_found(
    clock: ManualClock, tmp_path: Path
) -> None:
    counter = counter_of(clock, tmp_path, doctor=FakeDoctor(FOUND))
    first, *_, last = answers(counter, "doctor")
    assert first["code"] == 202 and "another answer follows" in first["message"] and first["id"] == "c-1"
    data = last["data"]
    assert (data["wrong"], data["notes"], data["good"], data["skipped"]) == (1, 1, 1, 1)
    assert [one["state"] for one in data["findings"]] == ["wrong", "note"], "what is wrong comes first"
    assert answers(counter, "doctor", "c-2", family="broker")[-1]["data"]["notes"] == 0
    assert answers(counter, "doctor", "c-3", family="x")[-1]["code"] == 422


def test_a_doctor_that_fails_or_is_not_there_is_told(clock: ManualClock, tmp_path: Path) -> None:
    counter = counter_of(clock, tmp_path, doctor=FakeDoctor(FOUND, fails=OSError("gone")))
    assert answers(counter, "doctor")[-1]["code"] == 500
    assert answers(counter_of(clock, tmp_path), "doctor")[-1]["data"] == {"kind": "impossible"}


GOODS = [Good(score=0.01 + number / 1e5, is_false_alarm=number == 99) for number in range(100)]


def test_a_threshold_is_proposed_from_good_frames_and_not_applied_unasked(
    clock: ManualClock, tmp_path: Path
) -> None:
    door = FakeSettings()
    counter = counter_of(clock, tmp_path, archive=FakeArchive([None, *GOODS, None]), settings=door)
    data = answers(counter, "calibrate", false_reject_rate=0.05)[-1]["data"]
    assert data["threshold"] == pytest.approx(0.01095, abs=1e-6)
    assert data["interval"][0] <= data["threshold"] <= data["interval"][1]
    assert (data["frames"], data["false_alarms"], data["provisional"]) == (100, 1, False)
    assert (data["now"], data["applied"], door.proposed) == (0.031, False, [])
    few = answers(counter, "calibrate", "c-2", false_reject_rate=0.001)[-1]["data"]
    assert few["provisional"] and few["rate"] == pytest.approx(1 / 101)
    assert (few["needed"], few["missing"], few["worth"]) == (999, 899, 100)
    assert any("cannot be promised from so few" in line for line in few["words"])


def test_a_threshold_that_is_to_be_applied_goes_the_way_of_settings(
    clock: ManualClock, tmp_path: Path
) -> None:
    door = FakeSettings()
    counter = counter_of(clock, tmp_path, archive=FakeArchive(GOODS), settings=door)
    data = answers(counter, "calibrate", apply=True, false_reject_rate=0.05, who="lead")[-1]["data"]
    assert data["applied"] and door.proposed == [({"judge": {"threshold": data["threshold"]}}, "lead")]
    assert answers(counter, "calibrate", "c-3", apply=True, camera="top")[-1]["code"] == 422
    door.refuses = NotDoneError("occupied", "another document is on probation")
    refused = answers(counter, "calibrate", "c-2", apply=True, false_reject_rate=0.05)[-1]
    assert (refused["code"], refused["data"]) == (429, {"kind": "occupied"})


def test_what_another_threshold_would_have_made_is_told_and_changes_nothing(
    clock: ManualClock, tmp_path: Path
) -> None:
    door = FakeSettings()
    kept = [None, entry("a", "pass", 0.02), entry("b", "fail", 0.04), entry("c", "fail", 0.06, "confirmed")]
    counter = counter_of(clock, tmp_path, archive=FakeArchive(kept=kept), settings=door)
    first, *_, last = answers(counter, "what_if", threshold=0.05)
    assert first["code"] == 202
    data = last["data"]
    assert (data["results"], data["rejects_now"], data["rejects_then"], data["now"]) == (3, 2, 1, 0.031)
    assert data["passed"] == {"count": 1, "ids": ["b"]} and data["missed"]["count"] == 0
    assert door.proposed == []
    assert answers(counter_of(clock, tmp_path), "what_if", threshold=1.0)[-1]["data"] == {
        "kind": "impossible"
    }


def test_a_threshold_is_set_by_one_of_two_who_looked_at_the_same_settings(
    clock: ManualClock, tmp_path: Path
) -> None:
    door = FakeSettings()
    counter = counter_of(clock, tmp_path, settings=door)
    seen = answer(counter, "in_force")["data"]["settings"]
    assert answer(counter, "threshold", "c-2", threshold=0.04, onto=seen, who="one")["data"]["was"] == {
        "top": 0.031
    }
    door.digest = "6f" * 32
    late = answer(counter, "threshold", "c-3", threshold=0.05, onto=seen, who="two")
    assert (late["code"], late["data"]) == (409, {"kind": "impossible"})
    assert door.proposed == [({"judge": {"threshold": 0.04}}, "one")]
    assert answer(counter, "threshold", "c-4", threshold=None)["code"] == 200, "the bundle's own"
    for wrong in (0, -1, 1e7, "0.1"):
        assert answer(counter, "threshold", f"w-{wrong}", threshold=wrong)["code"] == 422
    without = answer(counter_of(clock, tmp_path), "threshold", threshold=0.1)
    assert without["code"] == 409 and "settings file" in without["message"]


@pytest.mark.parametrize(
    ("parts", "kind"),
    [({}, "impossible"), ({"archive": FakeArchive([None])}, "not_found")],
    ids=["no archive", "nothing good"],
)
def test_without_good_frames_nothing_is_proposed(
    clock: ManualClock, tmp_path: Path, parts: dict[str, Any], kind: str
) -> None:
    assert answers(counter_of(clock, tmp_path, **parts), "calibrate")[-1]["data"] == {"kind": kind}


def test_a_recipe_is_switched_to_one_that_there_is(clock: ManualClock, tmp_path: Path) -> None:
    recipes, told = FakeRecipes(), Told()
    counter = counter_of(clock, tmp_path, recipes=recipes, tell=told)
    assert answer(counter, "recipe", recipe="cells-5x5")["data"] == {"recipe": "cells-5x5"}
    wrong = answer(counter, "recipe", "c-2", recipe="tiles")
    assert (wrong["code"], wrong["data"], recipes.in_force) == (404, {"kind": "not_found"}, "cells-5x5")
    assert answer(counter, "recipe", "c-3", who="lead")["data"] == {"recipe": None}
    assert recipes.in_force is None
    assert told.events[1] == ("recipe_switched", {"recipe": None, "who": "lead"}) and len(told.events) == 2


def test_an_installation_is_acknowledged_once_it_goes_on_by_itself_and_answered_to_its_end(
    clock: ManualClock, tmp_path: Path
) -> None:
    going = [standing("downloading", share=0.5), standing("probation")]
    rollouts = FakeRollouts(stands=[*going, standing("applied", 200)])
    counter = counter_of(clock, tmp_path, rollouts=rollouts)
    (first, second) = answers(counter, "install", document="{}")
    assert rollouts.asked == [("install", b"{}")]
    assert (first["code"], second["code"]) == (202, 202)
    assert second["data"] == {"transaction": "t-1", "state": "downloading", "progress": 0.5}
    assert counter.station.done()[-3:] == ["remember", "respond", "acknowledge"]
    clock.advance(desks.TELL_EVERY_S)
    counter.turn()
    counter.turn()
    third, last = counter.station.answers()[-2:]
    assert (third["code"], last["code"]) == (202, 200)
    assert last["data"] == {"transaction": "t-1", "state": "applied", "progress": None}
    assert counter.station.done().count("acknowledge") == 1, "and not once more"
    assert counter.station.done().count("remember") == 1


def test_others_that_take_long_are_done_while_an_installation_goes_on(
    clock: ManualClock, tmp_path: Path
) -> None:
    rollouts = FakeRollouts(stands=[standing("proving")])
    counter = counter_of(clock, tmp_path, rollouts=rollouts, archive=FakeArchive(GOODS))
    answers(counter, "install", document="{}")
    assert answers(counter, "calibrate", "c-2")[-1]["code"] == 200
    assert answer(counter, "ping", "c-3")["code"] == 200
    rollouts.stands = [standing("rolled_back", 422, why="too many rejects")]
    counter.turn()
    last = counter.station.answers()[-1]
    assert (last["id"], last["code"], last["message"]) == ("c-1", 422, "too many rejects")
    assert last["data"]["state"] == "rolled_back"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (401, "unsigned"),
        (403, "not_addressed"),
        (404, "not_found"),
        (408, "deadline"),
        (409, "impossible"),
        (410, "expired"),
        (413, "oversized"),
        (415, "wrong_type"),
        (422, "bad_arguments"),
        (424, "failed_before"),
        (429, "occupied"),
        (500, "failed"),
        (507, "no_room"),
    ],
)
def test_a_document_that_is_refused_is_answered_with_its_code(
    clock: ManualClock, tmp_path: Path, code: int, kind: str
) -> None:
    rollouts = FakeRollouts(says=said(code, "no"))
    counter = counter_of(clock, tmp_path, rollouts=rollouts)
    last = answers(counter, "install", document="{}")[-1]
    assert (last["code"], last["data"], last["message"]) == (code, {"kind": kind}, "no")


def test_a_rollback_and_a_cancel_are_asked_for_with_who_and_why(clock: ManualClock, tmp_path: Path) -> None:
    over = standing("rolled_back", 409)
    rollouts = FakeRollouts(stands=[over])
    counter = counter_of(clock, tmp_path, rollouts=rollouts)
    last = answers(counter, "rollback", reason="rejects", who="lead")[-1]
    assert (last["code"], last["data"]["state"]) == (200, "rolled_back")
    rollouts.says = said(200, "cancelled", "t-1")
    assert answer(counter, "cancel", "c-2")["data"] == {"transaction": "t-1"}
    assert rollouts.asked == [("roll_back", "lead", "rejects"), ("cancel", None)]
    rollouts.says = said(404, "no such transaction goes on here")
    assert answer(counter, "cancel", "c-3")["code"] == 404


class FakeMarks:
    """Takes what it is told, until the disk is full."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.full = False

    def mark(self, asked: MarkResult, who: str, way: Way) -> Marked:
        if self.full:
            raise NoRoomForMarksError("marks.sqlite3: database or disk is full; free space on that disk")
        self.told.append((asked.says, who, way))
        return Marked(mark=examples.mark(), was=None)


def test_a_mark_says_who_and_by_which_way_and_changes_no_station(clock: ManualClock, tmp_path: Path) -> None:
    marks = FakeMarks()
    counter = counter_of(clock, tmp_path, marks=marks)
    told = {"result_id": "r-1", "says": "right"}
    done = answer(counter, "mark", who="shift lead", **told)
    assert (done["code"], done["data"]["mark"]["label"], done["data"]["was"]) == (200, "scratch", None)
    answer(counter, "mark", "c-2", way="mes", **told)
    assert marks.told == [("right", "shift lead", "mqtt"), ("right", NOBODY, "mes")]
    assert counter.desk.commanded_ns is None
    marks.full = True
    refused = answer(counter, "mark", "c-3", **told)
    assert (refused["code"], refused["data"]["kind"]) == (507, "no_room")


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("install", {"document": "{}"}),
        ("rollback", {"reason": "x"}),
        ("cancel", {}),
        ("recipe", {}),
        ("mark", {"result_id": "r-1", "says": "right"}),
    ],
)
def test_what_a_station_is_not_set_up_for_is_impossible_and_says_so(
    clock: ManualClock, tmp_path: Path, name: str, args: dict[str, Any]
) -> None:
    last = answers(counter_of(clock, tmp_path), name, **args)[-1]
    assert (last["code"], last["data"]) == (409, {"kind": "impossible"}) and last["message"]


def test_a_signed_command_runs_once_whatever_else_was_remembered(clock: ManualClock, tmp_path: Path) -> None:
    signing = {
        "signers": lambda: Signers(keys=(KEY.public_key(),)),
        "signed": Spent(tmp_path / "signed"),
    }
    counter = counter_of(clock, tmp_path, signing=signing)
    counter.serve_here(command("pause", signed()))
    counter.station.remembered.clear()  # by 10,000 others
    counter.serve_here(command("pause", signed()), command("pause", request(id="o", args={"reason": "x"})))
    told = counter.station.answers()
    assert [one["code"] for one in told] == [200, 409, 401]
    assert told[0]["data"]["paused"]["who"] == "plant-office"  # type: ignore[index]


def test_a_hundred_verbs_at_once_have_one_answer_each_and_what_is_wrong_changes_nothing(
    clock: ManualClock, tmp_path: Path
) -> None:
    told = Told()
    counter = counter_of(clock, tmp_path, tell=told)
    names = [*COMMANDS, "reboot", "get_image", "pause-2"]
    many = [
        command(names[number % len(names)], request(id=f"c-{number}", args={"loud": True}))
        for number in range(100)
    ]
    counter.serve_here(*many)
    told_all = counter.station.answers()
    assert [one["id"] for one in told_all] == [f"c-{number}" for number in range(100)]
    assert {one["code"] for one in told_all} == {404, 422}
    assert not told.events and counter.desk.performed == 0


def test_a_replay_does_not_wait_for_the_doctor_and_few_may_wait_for_him(
    clock: ManualClock, tmp_path: Path
) -> None:
    class Slow(FakeDoctor):
        def look(self, family: str | None) -> Iterator[Found]:
            let_go.wait()
            yield FOUND[0]

    let_go = threading.Event()
    counter = counter_of(clock, tmp_path, doctor=Slow())
    many = [command("doctor", request(id=f"d-{number}", args={})) for number in range(7)]
    for one in (*many, command()):
        counter.turn(one)
    while not any(one["id"] == "c-1" for one in counter.station.answers()):
        counter.turn()
    codes = {one["id"]: one["code"] for one in counter.station.answers()}
    assert codes == {**{f"d-{number}": 202 for number in range(5)}, "d-5": 429, "d-6": 429, "c-1": 200}
    let_go.set()
    while counter.station.done().count("acknowledge") < 8:
        counter.turn()
    finals = [one for one in counter.station.answers() if one["code"] == 200]
    assert len(finals) == 6


def test_ping_is_answered_between_the_looks_of_the_doctor(clock: ManualClock, tmp_path: Path) -> None:
    class Slow(FakeDoctor):
        def look(self, family: str | None) -> Iterator[Found]:
            eventually(lambda: len(counter.station.answers()) >= 4, "the others are answered")
            yield FOUND[0]

    counter = counter_of(clock, tmp_path, doctor=Slow())
    counter.serve_here(command("doctor", request(id="d", args={})), *(ping(one, 1) for one in "abc"))
    assert [one["id"] for one in counter.station.answers()] == ["d", "a", "b", "c", "d"]


RESULT = "01900000-0000-7000-8000-000000000001"


def test_a_decision_is_made_once_more_and_what_cannot_be_is_said(clock: ManualClock, tmp_path: Path) -> None:
    told: Any = {"schema": "plumbline.replay/1", "reproduced": True}
    asked: list[str] = []

    def again(result_id: str) -> Any:
        asked.append(result_id)
        if len(asked) > 1:
            raise NotDoneError("impossible", "its bundle is not here any more")
        return told

    counter = counter_of(clock, tmp_path, again=again)
    first, *_, last = answers(counter, "decide_again", result_id=RESULT)
    assert (first["code"], last["code"], last["data"]) == (202, 200, told)
    assert asked == [RESULT]
    refused = answers(counter, "decide_again", "c-2", result_id=RESULT)[-1]
    assert (refused["code"], refused["data"]) == (409, {"kind": "impossible"})
    assert answers(counter, "decide_again", "c-3", result_id="../../etc/passwd")[-1]["code"] == 422
    nowhere = answers(counter_of(clock, tmp_path), "decide_again", result_id=RESULT)[-1]
    assert (nowhere["code"], "archive.folder" in nowhere["message"]) == (409, True)
