"""How far a change reaches is said once, in the models, and told by every key that differs."""

from __future__ import annotations

from typing import Any

import pytest

from agent.schemas.printed import printed
from agent.settings.reach import REMOTE_NEVER, changed, farthest, opened_anew, reach_of, table
from agent.settings.settings import Settings
from agent.settings.shape import kinds_at


def made(**content: Any) -> Settings:
    return Settings.model_validate(content)


@pytest.mark.parametrize(
    ("after", "keys", "reach"),
    [
        ({}, [], "frame"),
        ({"revision": 2}, [("revision",)], "frame"),
        (
            {"judge": {"min_area_px": 3}, "logs": {"level": "debug"}},
            [("judge", "min_area_px"), ("logs", "level")],
            "frame",
        ),
        (
            {"cameras": [{"web": {"max_invalid_ratio": 0.5}}]},
            [("cameras", 0, "web", "max_invalid_ratio")],
            "frame",
        ),
        ({"cameras": [{"name": "side"}]}, [("cameras", 0, "name")], "run"),
        ({"cameras": [{}, {"name": "side"}]}, [("cameras",)], "run"),
        ({"cameras": [{"source": {"kind": "video", "url": "x"}}]}, [("cameras", 0, "source")], "camera"),
        (
            {
                "cameras": [
                    {"source": {"kind": "folder", "path": "elsewhere"}, "web": {"max_invalid_ratio": 0.5}}
                ]
            },
            [("cameras", 0, "source", "path"), ("cameras", 0, "web", "max_invalid_ratio")],
            "camera",
        ),
        ({"cameras": [{"web": {"square_pixels": True, "mm_per_px": 1, "mm_per_line": 1}}]}, None, "run"),
        (
            {"judge": {"min_area_px": 3}, "mqtt": {"port": 1}},
            [("judge", "min_area_px"), ("mqtt", "port")],
            "run",
        ),
    ],
)
def test_what_differs_is_found_and_the_farthest_counts(
    after: dict[str, Any], keys: list[tuple[str | int, ...]] | None, reach: str
) -> None:
    found = list(changed(made(), made(**after)))
    assert keys in (found, None) and farthest(Settings, found) == reach


def test_the_cameras_that_are_opened_anew_are_those_whose_own_keys_differ() -> None:
    pair = [{"name": "top"}, {"name": "side"}]
    before = made(cameras=pair)
    assert opened_anew(before, made(cameras=pair, judge={"min_area_px": 3})) == frozenset()
    slower = {"name": "side", "silence_timeout_s": 3}
    assert opened_anew(before, made(cameras=[pair[0], slower])) == {1}


def test_what_is_unknown_or_says_nothing_reaches_farthest() -> None:
    assert (
        reach_of(Settings, ())
        == reach_of(Settings, ("nothing",))
        == reach_of(Settings, ("line", "mode"))
        == "run"
    )


def test_every_row_of_the_table_is_what_its_key_says() -> None:
    for dotted, reach in table(Settings).items():
        keys = tuple(0 if one == "*" else one for one in dotted.split("."))
        assert reach_of(Settings, keys) == reach


def test_the_schema_says_it_too() -> None:
    schema = printed("settings")
    assert schema["properties"]["judge"]["x-reach"] == "frame"
    assert "x-reach" not in schema["properties"]["mqtt"]
    assert schema["$defs"]["Camera"]["properties"]["source"]["x-reach"] == "camera"


def test_what_documents_never_change_are_keys_that_there_are() -> None:
    assert all(kinds_at(Settings, place) for place in REMOTE_NEVER)
