"""Part rules and the cameras that name them fit, or it is said which does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.parts.parts import rule_of
from agent.settings.settings import Settings, SettingsError, parse

FOLDER = "source: {kind: folder, path: x}"
LINES = "source: {kind: linescan-sim, path: x}"


def read(text: str) -> Settings:
    return parse(text, name="station.yaml", base=Path("/plant"), environment={})


def cameras(*more: str) -> str:
    rows = "".join(f"  - {{name: c{number}, {one}}}\n" for number, one in enumerate(more))
    return f"version: 1\ncameras:\n{rows}"


def test_a_rule_has_the_cameras_that_name_it_in_their_order() -> None:
    wanted = read(
        cameras(
            f"{LINES}, part_rule: housing",
            LINES,
            f"{LINES}, part_rule: housing, offset_ticks: -400",
        )
        + "parts: [{name: housing, by: encoder, window_ticks: 8, timeout_s: 0.5}]"
    )
    assert wanted.part_cameras() == {"housing": ("c0", "c2")}
    rule = rule_of(wanted.parts[0], wanted.cameras)
    assert (rule.cameras, rule.offsets, rule.timeout_ns) == (("c0", "c2"), {"c2": -400}, 500_000_000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            cameras(f"{FOLDER}, part_rule: housing", f"{FOLDER}, part_rule: housing"),
            "camera 'c0' names part_rule 'housing', which is not there; there are none",
        ),
        (
            cameras(f"{FOLDER}, part_rule: housing", FOLDER) + "parts: [{name: housing, by: part_id}]",
            "part rule 'housing' is the part_rule of fewer than two cameras",
        ),
        (
            cameras(f"{FOLDER}, part_rule: housing", f"{FOLDER}, part_rule: hosing")
            + "parts: [{name: housing, by: part_id}]",
            "camera 'c1' names part_rule 'hosing', which is not there; there are housing",
        ),
        (
            cameras(FOLDER) + "parts: [{name: housing, by: part_id}]",
            "name the rule at every camera that sees the part, or remove it",
        ),
        (
            cameras(f"{FOLDER}, part_rule: h", f"{FOLDER}, part_rule: h")
            + "parts: [{name: h, by: part_id}, {name: h, by: message}]",
            "part rule 'h' stands twice",
        ),
        (
            cameras(f"{FOLDER}, part_rule: h", f"{FOLDER}, part_rule: h")
            + "parts: [{name: h, by: encoder, window_ticks: 4}]",
            "camera 'c0' is of kind folder and brings no encoder count",
        ),
        (
            cameras(f"{LINES}, part_rule: h", f"{LINES}, part_rule: h") + "parts: [{name: h, by: encoder}]",
            "window_ticks is how far two views of one part may lie apart by encoder; set it above 0",
        ),
        (
            cameras(f"{FOLDER}, part_rule: h", f"{FOLDER}, part_rule: h, offset_ticks: 5")
            + "parts: [{name: h, by: part_id}]",
            "camera 'c1' has offset_ticks, which counts with a part_rule by encoder",
        ),
        (
            cameras(f"{FOLDER}, part_rule: h", f"{FOLDER}, part_rule: h")
            + "parts: [{name: h, by: part_id, timeout_s: 0}]",
            "timeout_s",
        ),
        (cameras(f"{FOLDER}, part_rule: 'A b'"), "part_rule"),
    ],
)
def test_what_does_not_fit_is_said_with_its_remedy(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(text)
    assert words in str(refused.value)
    assert str(refused.value).startswith("station.yaml:")
