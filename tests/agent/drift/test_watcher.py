"""A change of pictures or scores is told once, by its kind, with a picture of then; no verdict is touched."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.drift.compare import Off, Seen, kind_of
from agent.drift.files import DriftError, References
from agent.drift.view import words_of
from agent.line.ignore import Ignore
from tests.agent.archive.records import result_id
from tests.agent.drift.floor import GOOD, Floor, grey
from tests.agent.line.recipes import rules


@pytest.fixture
def floor(tmp_path: Path) -> Floor:
    return Floor(folder=tmp_path / "drift")


def test_the_same_parts_in_the_same_light_tell_nothing(floor: Floor) -> None:
    floor.show(GOOD + 400, fails_every=40)
    assert floor.events() == [] and floor.watch.words() == ()
    (view,) = floor.watch.views()
    assert (view["state"], view["learned"], view["frames"]) == ("watching", GOOD, 128)


def test_a_darker_lamp_is_light_whether_scores_hold_or_follow(floor: Floor) -> None:
    floor.show(GOOD + 32)
    floor.show(128, level=100.0)
    (event,) = floor.events()
    assert event["event"] == "drift" and event["severity"] == "warning"
    assert event["data"]["kind"] == "light_changed" and event["data"]["scores_follow"] is False
    assert "Camera top: the light changed since its first good parts (brightness 10" in event["detail"]
    assert "scores hold" in event["detail"]
    assert floor.watch.words() != () and floor.watch.active() == {"top": {"light_changed"}}


def test_where_the_light_makes_parts_fail_it_is_still_the_light(floor: Floor) -> None:
    floor.show(GOOD + 32)
    floor.show(128, level=90.0, score=0.8)
    (event,) = floor.events()
    assert event["data"]["kind"] == "light_changed" and event["data"]["scores_follow"] is True
    assert "scores follow" in event["detail"]


def test_more_defects_in_the_same_light_are_defects(floor: Floor) -> None:
    floor.show(GOOD + 32)
    floor.show(128, fails_every=3)
    (event,) = floor.events()
    assert event["data"]["kind"] == "more_defects"
    assert "more parts fail, in the same light" in event["detail"]
    assert floor.watch.begun[("top", "more_defects")] == 1


def test_good_parts_that_score_higher_in_the_same_light_are_told_before_they_fail(floor: Floor) -> None:
    floor.show(GOOD + 32)
    floor.show(128, score=0.36)
    assert floor.kinds() == ["drift:scores_moved"]


def test_a_lens_out_of_focus_is_the_picture(floor: Floor) -> None:
    floor.show(GOOD + 32)
    floor.show(128, noise=1.5)
    assert floor.kinds()[0] in ("drift:picture_changed", "drift:light_changed")
    (view,) = floor.watch.views()
    sharp = next(one for one in view["numbers"] if one["name"] == "sharpness")
    assert sharp["then"] > 0


def test_where_most_parts_fail_out_of_focus_it_is_the_picture_and_no_wave_of_defects() -> None:
    def seen(shift: float, fail_chance: float) -> Seen:
        lately = Off(name="sharpness", group="input", psi=1.4, shift=shift, limit=0.6, now=2.0, then=5.0)
        return Seen(numbers=(), lately=(lately,), fails=40, frames=64, fail_chance=fail_chance)

    assert kind_of(seen(-1.0, 1e-9)) == "picture_changed"
    told = words_of("top", "picture_changed", seen(-1.0, 1e-9))
    assert "sharpness 2 instead of 5; scores follow" in told
    assert kind_of(seen(-0.5, 1e-9)) == kind_of(seen(1.0, 1e-9)) == "more_defects"
    assert kind_of(seen(-1.0, 0.5)) is None  # the parts that fail, a few, may be blurred ones


def test_an_episode_is_told_once_and_its_end_once_and_a_flicker_is_neither(floor: Floor) -> None:
    floor.show(GOOD + 32)
    floor.show(300, level=100.0)
    assert floor.kinds() == ["drift:light_changed"]
    floor.show(300)
    assert floor.kinds() == ["drift:light_changed", "drift_over:light_changed"]
    floor.show(8, level=60.0)
    floor.show(200)
    assert len(floor.kinds()) == 2 and floor.watch.words() == ()


def test_now_stands_beside_then_and_old_pictures_make_room(floor: Floor, tmp_path: Path) -> None:
    floor.show(GOOD + 32)
    floor.show(128, level=100.0)
    (event,) = floor.events()
    data = event["data"]
    picture = cv2.imread(data["picture"], cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert picture[:, :64].mean() == pytest.approx(100, abs=16)
    assert picture[:, -64:].mean() == pytest.approx(120, abs=16)
    assert data["then_result_id"] in {result_id(number) for number in range(1, GOOD + 1)}
    assert Path(data["picture"]).name == f"{data['now_result_id']}-now-then.png"
    kept = References(folder=tmp_path / "many")
    for number in range(40):
        kept.keep_change(result_id(number), grey(9, 1))
    names = sorted(one.name for one in kept.folder.iterdir())
    assert len(names) == 32 and names[-1].startswith(result_id(39))


def test_what_was_learned_outlives_the_agent_and_falls_with_its_bundle(floor: Floor) -> None:
    floor.show(GOOD + 1)
    floor.start()
    floor.show(150, level=100.0)
    assert floor.kinds() == ["drift:light_changed"]
    floor.recipe = replace(floor.recipe, bundle_sha256="12" * 32)
    floor.show(GOOD - 10, level=100.0)
    (view,) = floor.watch.views()
    assert view["state"] == "learning"
    floor.show(150, level=100.0)
    assert len(floor.kinds()) == 1 and floor.watch.words() == ()


def test_other_thresholds_keep_it_and_other_regions_do_not(floor: Floor) -> None:
    floor.show(GOOD + 1)
    floor.recipe = replace(floor.recipe, rules=dict.fromkeys(["top"], rules(threshold=0.6)))
    floor.show(1)
    assert floor.watch.views()[0]["state"] == "watching"
    ignore = Ignore(polygons=(((0.0, 0.0), (9.0, 0.0), (9.0, 9.0)),), top=1)
    judged_by = replace(rules(), ignore=ignore)
    floor.recipe = replace(floor.recipe, rules={"top": judged_by})
    floor.show(1)
    assert floor.watch.views()[0]["state"] == "learning"


def test_a_threshold_that_somebody_sets_is_no_drift(floor: Floor) -> None:
    floor.show(GOOD + 1)
    floor.threshold = 0.8
    floor.show(150)
    assert floor.kinds() == []


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff" * 200_000, b'{"schema": "plumbline.drift-reference/9"}']
)
def test_a_reference_that_cannot_be_relied_on_is_learned_anew(floor: Floor, content: bytes) -> None:
    floor.show(GOOD + 1)
    references = floor.watch.references
    references.path_of("top", "default").write_bytes(content)
    with pytest.raises(DriftError, match=r"cannot be relied on.*; delete it"):
        references.read("top", "default")
    floor.start()
    floor.show(GOOD + 1)
    found = references.read("top", "default")
    assert found is not None and found[0].good == GOOD and found[1] is not None


def test_a_folder_that_takes_nothing_is_told_and_tried_again(floor: Floor, tmp_path: Path) -> None:
    (tmp_path / "drift").write_text("something in the way")
    floor.show(GOOD + 40)
    (words,) = floor.watch.words()
    assert "what was learned of good parts is not kept" in words and "drift" in words
    assert floor.watch.views()[0]["state"] == "watching"
    (tmp_path / "drift").unlink()
    floor.show(70)
    assert floor.watch.words() == ()
    assert floor.watch.references.read("top", "default") is not None


def test_a_reference_that_somebody_deletes_is_learned_anew_beside_the_running_agent(floor: Floor) -> None:
    floor.show(GOOD + 32)
    floor.show(128, level=100.0)
    assert floor.watch.words() != ()
    assert floor.watch.references.forget("top", "default")
    floor.show(1, level=100.0)
    assert floor.watch.words() == () and floor.watch.views()[0]["state"] == "learning"
    floor.show(GOOD + 150, level=100.0)
    assert floor.kinds() == ["drift:light_changed"]
    assert not floor.watch.references.forget("bottom", "default")


def test_each_camera_and_recipe_has_its_own_and_one_that_is_gone_is_forgotten(floor: Floor) -> None:
    for _ in range(GOOD + 40):
        floor.show(1, level=60.0)
        floor.show(1, level=200.0, camera="bottom")
    assert floor.events() == []
    assert {one["camera"] for one in floor.watch.views()} == {"top", "bottom"}
    floor.names.clear()
    floor.watch.watch()
    assert floor.watch.views() == []


def test_a_fail_is_learned_from_by_its_number_alone_and_bad_starts_raise_what_is_usual(floor: Floor) -> None:
    floor.show(3 * GOOD, fails_every=3)
    reference = floor.watch.references.read("top", "default")
    assert reference is not None and reference[0].fails == pytest.approx(GOOD / 2, abs=4)
    floor.show(200, fails_every=3)
    assert floor.events() == []


def test_with_0_only_the_light_behind_flat_fields_is_watched(tmp_path: Path) -> None:
    floor = Floor(folder=tmp_path / "drift", good=0, lights=("top",))
    floor.show(40)
    floor.show(80, level=90.0)
    assert floor.watch.views() == [] and not (tmp_path / "drift").exists()
    (words,) = floor.watch.words()
    assert "brightness of good windows" in words and "since the start" in words


def test_how_things_stand_lies_in_a_file_for_people(floor: Floor) -> None:
    floor.show(GOOD + 64)
    told = floor.watch.references.now("top", "default")
    assert told is not None and json.loads(json.dumps(told)) == told
    assert {"camera", "recipe", "state", "numbers"} <= set(told)


def test_odd_pictures_harm_nothing(floor: Floor) -> None:
    for number, shape in enumerate([(1, 1, 1), (1, 900, 3), (900, 1, 1), (2, 2, 3)], 500):
        floor.tell(np.zeros(shape, np.uint8), score=0.2, number=number)
        floor.tell(np.full(shape, 255, np.uint8), score=0.0, number=number + 100)
    floor.watch.watch()
    assert floor.watch.views()[0]["learned"] == 8
