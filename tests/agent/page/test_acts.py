"""What people change from the page: asked by the page itself, checked, and done by the station's own ways."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent.page.sessions.gate import OWN_HEADER
from agent.settings.recipes import MAX_REGIONS
from agent.settings.settings import Settings
from tests import plain_http
from tests.agent.page.station import Station, running

SQUARE = [[10, 20], [30, 20], [30, 40], [10, 40]]


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with running(tmp_path) as station:
        yield station


def act(station: Station, name: str, body: object, **headers: str) -> httpx.Response:
    return plain_http.post(
        f"{station.page.url}api/acts/{name}", json=body, headers={OWN_HEADER: "1", **headers}, timeout=60
    )


def ignore(station: Station, recipe: str = "default", camera: str = "top") -> httpx.Response:
    return act(station, "ignore", {"camera": camera, "recipe": recipe, "corners": SQUARE})


def test_a_region_becomes_part_of_the_recipe_of_a_station_that_had_none(station: Station) -> None:
    answer = ignore(station)
    assert answer.status_code == 200, answer.text
    ((patch, who),) = station.proposed
    assert who == "this machine"
    wanted = Settings.model_validate({**station.settings.model_dump(mode="json"), **patch})
    (recipe,) = wanted.recipes
    assert (recipe.name, recipe.is_default) == ("default", True)
    assert recipe.cameras[0].ignore[0].corners == ((10, 20), (30, 20), (30, 40), (10, 40))


def test_a_region_is_added_to_those_of_its_recipe_and_camera_alone(tmp_path: Path) -> None:
    regions = [{"corners": [[0, 0], [5, 0], [5, 5]]}]
    recipes = [
        {
            "name": "a",
            "is_default": True,
            "cameras": [{"camera": "top", "ignore": regions, "min_area_px": 9}],
        },
        {"name": "b", "products": ["x"]},
    ]
    with running(tmp_path, recipes=recipes) as station:
        assert ignore(station, recipe="a").status_code == 200
        ((patch, _),) = station.proposed
        wanted = Settings.model_validate({**station.settings.model_dump(mode="json"), **patch})
        assert [len(one.cameras) for one in wanted.recipes] == [1, 0]
        assert (len(wanted.recipes[0].cameras[0].ignore), wanted.recipes[0].cameras[0].min_area_px) == (2, 9)
        assert wanted.recipes[1].products == ("x",)
        assert ignore(station, recipe="c").status_code == 404
        assert ignore(station, recipe="a", camera="side").status_code == 404
        assert len(station.proposed) == 1


def test_more_regions_than_a_recipe_may_have_are_refused(tmp_path: Path) -> None:
    regions = [{"corners": [[0, 0], [5, 0], [5, 5]]}] * MAX_REGIONS
    recipes = [{"name": "a", "is_default": True, "cameras": [{"camera": "top", "ignore": regions}]}]
    with running(tmp_path, recipes=recipes) as station:
        answer = ignore(station, recipe="a")
        assert answer.status_code == 409
        assert "join some of them" in answer.text
        assert station.proposed == []


def test_a_decision_is_made_once_more_and_its_fault_is_told_in_words(station: Station) -> None:
    answer = act(station, "replay", {"result_id": "0192-top-3"})
    assert answer.json()["reproduced"] is True
    assert station.replayed == ["0192-top-3"]
    station.replay_fails = True
    answer = act(station, "replay", {"result_id": "0192-top-3"})
    assert answer.status_code == 500
    assert "install it again" in answer.text


def test_a_result_is_explained_and_a_bundle_that_cannot_is_told_in_words(station: Station) -> None:
    found = act(station, "explain", {"result_id": "0192-top-3"}).json()
    assert found["schema"] == "plumbline.explained/1"
    assert found["places"][0]["sentence"].startswith("Differs from good parts mostly in texture")
    station.replay_fails = True
    answer = act(station, "explain", {"result_id": "0192-top-3"})
    assert answer.status_code == 500
    assert "plumbline-lab explaining" in answer.text


@pytest.mark.parametrize("headers", [{OWN_HEADER: ""}, {"Origin": "http://evil.example"}, {"Origin": "null"}])
def test_another_site_changes_nothing(station: Station, headers: dict[str, str]) -> None:
    body = {"camera": "top", "recipe": "default", "corners": SQUARE}
    assert act(station, "ignore", body, **headers).status_code == 403
    assert station.proposed == []


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("nothing", {}, 404),
        ("ignore", {}, 422),
        ("ignore", {"camera": "top", "recipe": "default", "corners": SQUARE[:2]}, 422),
        ("ignore", {"camera": "top", "recipe": "default", "corners": [[1e9, 0], [0, 0], [1, 1]]}, 422),
        ("ignore", {"camera": "top", "recipe": "default", "corners": [[0, 0], [9, 9], [9, 0], [0, 9]]}, 422),
        ("ignore", {"camera": "top", "recipe": "default", "corners": SQUARE, "more": 1}, 422),
        ("ignore", [1], 400),
        ("ignore", {"camera": "x" * 40_000}, 413),
        ("replay", {"result_id": 7}, 422),
        ("use_labels", {"sha256": "cd" * 32}, 404),
        ("explain", {"result_id": "../../etc/passwd"}, 422),
    ],
)
def test_what_is_asked_wrongly_is_refused_in_words(
    station: Station, name: str, body: object, status: int
) -> None:
    answer = act(station, name, body)
    assert answer.status_code == status
    assert answer.text.strip()
    assert station.proposed == []


def test_labels_are_learned_and_shown_before_anything_is_changed(station: Station) -> None:
    found = act(station, "learn_labels", {}).json()
    assert [(row["label"], row["count"]) for row in found["rows"]] == [("crack", 6), ("dent", 5)]
    assert any("rare: 2 of the 5" in words for words in found["words"])
    assert any("keeps no picture" in words for words in found["words"])
    assert station.proposed == []
    answer = act(station, "use_labels", {"recipe": "default", "sha256": found["sha256"]})
    assert answer.status_code == 200, answer.text
    assert station.proposed == [({"labels": {"set": found["sha256"]}}, "this machine")]


def test_whoever_goes_away_in_the_middle_of_asking_leaves_no_words_in_the_log(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ("POST /api/acts/mark HTTP/1.1", "Host: 127.0.0.1", f"{OWN_HEADER}: 1", "Content-Length: 100")
    head = "\r\n".join((*lines, "", "{"))
    with socket.create_connection(("127.0.0.1", station.page.port)) as raw:
        raw.sendall(head.encode())
        act(station, "give_back", {})  # the server has read so far
    act(station, "give_back", {})
    assert "Disconnect" not in caplog.text


def test_labels_of_one_recipe_leave_the_others_as_they_are(tmp_path: Path) -> None:
    recipes = [{"name": "a", "is_default": True}, {"name": "b", "products": ["x"], "labels": "ef" * 32}]
    with running(tmp_path, recipes=recipes) as station:
        assert act(station, "use_labels", {"recipe": "a", "sha256": "ab" * 32}).status_code == 200
        assert act(station, "use_labels", {"recipe": "c", "sha256": "ab" * 32}).status_code == 404
        assert act(station, "use_labels", {"recipe": "a", "sha256": "<b>"}).status_code == 422
        ((patch, _),) = station.proposed
        wanted = Settings.model_validate({**station.settings.model_dump(mode="json"), **patch})
        assert [one.labels for one in wanted.recipes] == ["ab" * 32, "ef" * 32]
