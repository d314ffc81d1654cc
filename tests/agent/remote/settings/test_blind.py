"""Regions beside the frames, or that leave nothing of them, are refused where the frames' size is known."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.remote.settings.blind import beside, blind
from agent.remote.settings.desired import Flaw
from agent.settings.settings import Settings

SIZE = (300, 200)
LINES = {"kind": "linescan-sim", "path": "x.png"}
WEB = {"name": "top", "source": LINES, "web": {"window_lines": 64, "mm_per_px": 0.5, "mm_per_line": 0.5}}


def box(x: float, y: float, width: float, height: float, **told: Any) -> dict[str, Any]:
    return {"corners": [[x, y], [x + width, y], [x + width, y + height], [x, y + height]], **told}


def made(*regions: dict[str, Any], **more: Any) -> Settings:
    own = {"name": "a", "is_default": True, "cameras": [{"camera": "top", "ignore": list(regions)}]}
    return Settings.model_validate({"recipes": [{"name": "b"}, own], **more})


def flaws(*regions: dict[str, Any], size: tuple[int, int] | None = SIZE, **more: Any) -> list[Flaw]:
    return [*blind(made(*regions, **more), Settings.model_validate(more), lambda camera: size)]


def test_a_region_beside_the_frames_is_named_with_its_place() -> None:
    (found,) = flaws(box(10, 10, 20, 20), box(5000, 5000, 10, 10))
    assert found.path == "recipes.1.cameras.0.ignore.1"
    assert found.message == "lies outside the frames of camera top, 300 x 200 pixels; move it or remove it"


def test_regions_that_leave_nothing_are_named_together() -> None:
    (found,) = flaws(box(-5, -5, 160, 300), box(155, -5, 300, 300))
    assert found.path == "recipes.1.cameras.0.ignore"
    assert found.message.startswith("leaves nothing of the frames of camera top, 300 x 200 pixels; ")
    assert flaws(box(0, 0, 299, 200)) == flaws(box(0, 1, 300, 199)) == []


@given(st.integers(-500, 500), st.integers(-500, 500), st.integers(1, 400), st.integers(1, 400))
def test_a_box_is_refused_exactly_where_it_shares_nothing_with_the_frame_or_has_all_of_it(
    x: int, y: int, width: int, height: int
) -> None:
    shares = x < 300 and x + width > 0 and y < 200 and y + height > 0
    has_all = x <= 0 and y <= 0 and x + width >= 300 and y + height >= 200
    assert bool(flaws(box(x, y, width, height))) == (not shares or has_all)


def test_without_a_known_size_nothing_is_said() -> None:
    assert flaws(box(5000, 5000, 10, 10), size=None) == []


def test_a_region_that_was_there_before_keeps_no_document_out() -> None:
    there = made(box(5000, 5000, 10, 10))
    assert [*blind(made(box(5000, 5000, 10, 10), revision=2), there, lambda camera: SIZE)] == []


def test_a_camera_that_is_set_otherwise_may_have_other_frames() -> None:
    cameras = [{"name": "top", "source": {"kind": "folder", "path": "other"}}]
    assert [*blind(made(box(5000, 5000, 10, 10), cameras=cameras), Settings(), lambda camera: SIZE)] == []


def test_a_region_beside_the_frames_that_a_station_started_with_is_told() -> None:
    started = made(box(10, 10, 20, 20), box(5000, 5000, 10, 10))
    (said,) = beside(started, lambda camera: SIZE)
    assert said.startswith(
        "Recipe a: a region to ignore lies outside the frames of camera top, 300 x 200 pixels"
    )
    assert said.endswith("; move or remove recipes.1.cameras.0.ignore.1")
    assert [*beside(started, lambda camera: None)] == []
    assert [*beside(made(box(0, 0, 300, 200)), lambda camera: SIZE)] == [], "all_ignored says that"


@pytest.mark.parametrize(
    ("region", "is_flaw"),
    [
        (box(10, 5000, 10, 10), False),  # of a later piece of the part
        (box(0, 0, 300, 200), False),
        (box(301, 0, 10, 10), True),
        (box(149, 0, 10, 10, unit="mm"), False),
        (box(151, 0, 10, 10, unit="mm"), True),
    ],
)
def test_of_a_web_only_the_width_is_known(region: dict[str, Any], is_flaw: bool) -> None:
    assert bool(flaws(region, cameras=[WEB])) == is_flaw
