"""Each view's data: what people read of results, trends and cameras, in figures that have denominators."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from agent.clock import ManualClock
from agent.page.shown import Shown
from agent.page.sources import Behind, Sources
from agent.page.told import Told
from agent.page.views import trends
from agent.page.views.table import VIEWS
from agent.parts.counts import PartCounts
from agent.schemas import examples
from agent.status.day import DEFECTS, Day, Defect, Minute
from agent.status.metrics import Metrics
from tests import plain_http
from tests.agent.page.station import Station, running
from tests.agent.parts.views import rule
from tests.agent.status.samples import part, streaming_board, verdict


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with running(tmp_path) as station:
        yield station


@pytest.fixture
def client(station: Station) -> Iterator[httpx.Client]:
    with plain_http.Client(base_url=station.page.url, timeout=60) as client:
        yield client


def view(client: httpx.Client, name: str, **query: str) -> Any:
    answer = client.get(f"/api/views/{name}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_view_that_has_not_changed_is_not_sent_again(client: httpx.Client, station: Station) -> None:
    failed = station.judge(3, "fail")
    first = client.get("/api/views/result", params={"id": failed.result_id})
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    again = client.get("/api/views/result", params={"id": failed.result_id}, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]


def test_a_camera_shows_the_gates_that_follow_its_parts_and_how_late_they_move(
    client: httpx.Client, station: Station
) -> None:
    station.judge(0, "pass")
    cameras = {one["name"]: one for one in view(client, "cameras")["cameras"]}
    (output,) = cameras["top"]["outputs"]
    assert all(one["outputs"] == [] for name, one in cameras.items() if name != "top")
    assert (output["name"], output["under_way"], output["passed"]) == ("reject", 3, 240)
    assert output["lateness_ms"] == {"count": 1, "p50": 1.4, "p99": 1.4, "worst": 1.4}
    assert output["counts"] == {"reject/verdict": 1, "reject/neighbour": 1, "missed/gate": 1}
    assert "did not answer" in output["trouble"]


def test_an_unknown_view_names_those_that_there_are(client: httpx.Client) -> None:
    answer = client.get("/api/views/nothing")
    assert answer.status_code == 404
    assert all(name in answer.text for name in VIEWS)


def test_counters_have_their_denominators_since_start_and_since_the_shift_began(
    client: httpx.Client, station: Station
) -> None:
    for number, name in enumerate(("pass", "pass", "fail", "undecided", "skipped")):
        station.judge(number, name)  # type: ignore[arg-type]
    told = view(client, "live")
    counted = {"triggers": 5, "inspected": 4, "good": 2, "rejected": 1, "unknown": 1, "dropped": 1}
    for since in ("start", "shift"):
        assert {name: told[since][name] for name in counted} == counted
    assert told["shift"]["known_since"] is None or told["shift"]["known_since"] >= told["shift"]["since"]


def test_the_film_strip_says_where_a_picture_was_let_go_or_never_taken(
    client: httpx.Client, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.status.board.STRIP_BYTES", 100_000)
    station.board.judged(verdict(0, "skipped", reason="overload"), None)
    for number in range(1, 4):
        station.judge(number)
    told = {one["frame_id"]: one["no_picture"] for one in view(client, "live")["results"]}
    assert told == {3: None, 2: "let_go", 1: "let_go", 0: "none"}


def test_the_last_part_of_each_rule_is_told_with_its_views_and_as_soon_as_it_is_there() -> None:
    clock = ManualClock()
    board, counts = streaming_board(clock), PartCounts([rule("part_id", cameras=("top", "side"))])
    sources = Sources(board=board, metrics=Metrics(), shown=Shown(board), behind=Behind(parts=counts.shown))
    told = Told(sources)
    names = [name for name, _ in told.news()]
    assert "live" in names and "live" not in [name for name, _ in told.news()]
    made = examples.part()
    counts.decided(made, None)
    counts.committed(made, 0)
    (shown,) = dict(told.news())["live"]["parts"]
    assert (shown["rule"], shown["by"], shown["open"]) == ("housing", "part_id", 0)
    assert shown["counts"] == {"pass": 0, "fail": 1, "undecided": 0}
    assert (shown["last"]["verdict"], shown["last"]["sequence"]) == ("fail", made.sequence)
    assert shown["last"]["views"] == [
        {"camera": one.camera, "result_id": one.result_id, "verdict": one.verdict} for one in made.views
    ]


def test_a_station_without_part_rules_tells_none(client: httpx.Client) -> None:
    assert view(client, "live")["parts"] == []


def test_the_last_reject_stays_however_many_good_parts_follow(client: httpx.Client, station: Station) -> None:
    station.judge(0, "fail")
    for number in range(1, 80):
        station.board.judged(verdict(number), None)
    told = view(client, "live")
    assert told["reject"]["frame_id"] == 0
    assert len(told["results"]) == 50


def test_rejects_come_from_board_and_archive_each_once_newest_first_and_by_pages(
    client: httpx.Client, station: Station
) -> None:
    for number in range(60):
        station.judge(number, "fail", on_board=number >= 55)
    first = view(client, "rejects")
    ids = [one["id"] for one in first["results"]]
    assert ids == [f"0192-top-{number}" for number in range(59, 11, -1)]
    rest = view(client, "rejects", **first["older"])
    assert [one["id"] for one in rest["results"]] == [f"0192-top-{number}" for number in range(11, -1, -1)]
    assert rest["older"] is None
    assert first["results"][0]["score"] == pytest.approx(160)
    assert first["results"][-1]["score"] == pytest.approx(160)
    assert view(client, "rejects", verdict="undecided")["results"] == []
    assert view(client, "rejects", camera="side")["results"] == []


def test_an_archive_that_is_closed_is_said_and_the_last_rejects_are_shown(
    client: httpx.Client, station: Station
) -> None:
    station.judge(1, "fail")
    station.shelf.close()
    told = view(client, "rejects")
    assert [one["id"] for one in told["results"]] == ["0192-top-1"]
    assert "the archive is not open" in told["words"]


def test_one_result_tells_why_and_what_it_rests_on(client: httpx.Client, station: Station) -> None:
    failed = station.judge(3, "fail", part_id="P-7")
    told = view(client, "result", id=failed.result_id)
    assert (told["verdict"], told["part_id"], told["recipe"]) == ("fail", "P-7", "default")
    assert set(filter(None, told["pictures"].values())) == {
        f"api/results/{failed.result_id}/{name}"
        for name in ("input.jpg", "restored.jpg", "heat.jpg", "pixels.png")
    }
    assert max(told["profile"]["across"]) == pytest.approx(max(told["profile"]["down"]))
    assert max(told["profile"]["across"]) > 100
    words = " ".join(told["words"])
    assert "times the threshold" in words
    assert "differs from its restoration mostly" in words
    assert "darker" in words
    assert told["provenance"]["pixels_sha256"] == failed.frame.sha256
    assert told["provenance"]["recipe_sha256"] == "ef" * 32
    assert told["can"] == {"replay": True, "explain": True, "ignore": True, "mark": True}


def test_a_result_of_the_archive_alone_has_its_pixels_and_its_map(
    client: httpx.Client, station: Station
) -> None:
    failed = station.judge(3, "fail", on_board=False)
    told = view(client, "result", id=failed.result_id)
    assert any("differs from its restoration" in words for words in told["words"])
    assert any("times the threshold" in words for words in told["words"])
    for kind in ("input", "restored", "heat"):
        picture = client.get(told["pictures"][kind])
        assert picture.headers["cache-control"] == "private, max-age=86400, immutable"
        assert cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR).shape == (
            *((300, 300) if kind != "restored" else part(3).restored.shape[:2]),
            3,
        )
    png = client.get(told["pictures"]["pixels"])
    pixels = cv2.imdecode(np.frombuffer(png.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(pixels, part(3).image[:, :, 0])


def test_a_result_that_is_gone_says_why_it_may_be(client: httpx.Client, station: Station) -> None:
    for gone in ("0192-top-1", "../../etc/passwd", "", "x" * 5000):
        answer = client.get("/api/views/result", params={"id": gone})
        assert answer.status_code == 404
        assert "no longer kept" in answer.text
    assert client.get("/api/results/0192-top-1/input.jpg").status_code == 404
    assert client.get("/api/results/0192-top-1/pixels.png").status_code == 404


def test_names_of_other_people_come_through_as_text(client: httpx.Client, station: Station) -> None:
    evil = "<img src=x onerror=alert(1)>"
    failed = station.judge(3, "fail", part_id=evil)
    assert view(client, "result", id=failed.result_id)["part_id"] == evil
    assert client.get("/api/views/rejects").headers["content-type"] == "application/json"


def fill_day(station: Station, cameras: int) -> None:
    now = station.clock.utc_now().timestamp()
    for number in range(cameras):
        minutes = [
            Minute(int(now // 60) - ago, (590, 8, 2, 0), 600, 30_000.0, 130.0) for ago in range(1439, -1, -1)
        ]
        defects = [Defect(now - 10 * one, f"c{number}", 0.1, 0.5, 250, None, None) for one in range(2500)]
        station.day.fill({f"c{number}": minutes}, defects)


def test_trends_of_a_full_day_are_quick_and_add_up(client: httpx.Client, station: Station) -> None:
    fill_day(station, cameras=4)
    answer = client.get("/api/views/trends")
    told = answer.json()
    assert answer.elapsed.total_seconds() < 5
    assert len(answer.content) < 60_000
    assert len(told["bins"]) == 145
    assert told["total"]["inspected"] == sum(one["inspected"] for one in told["bins"]) == 4 * 1440 * 600
    assert told["pareto"]["size"] == [{"name": "100 to 1,000 px", "count": told["defects"]}]
    assert told["pareto"]["place"] == [{"name": "middle left", "count": told["defects"]}]
    assert told["pareto"]["label"] == [{"name": "without a label", "count": told["defects"]}]
    assert told["defects_since"] is not None, "4 cameras had 10,000 defects, and the last 5,000 are kept"
    assert view(client, "trends", camera="c1")["total"]["inspected"] == 1440 * 600


@pytest.mark.slow
def test_a_day_at_two_results_a_second_is_counted_whole_and_what_is_not_kept_of_it_is_said(
    tmp_path: Path,
) -> None:
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc))
    day = Day(tmp_path / "day.json", clock)
    good, bad = verdict(1), verdict(2, "fail", normalized=160, boxes=((10, 20, 30, 8), (200, 250, 9, 9)))
    for number in range(2 * 86_400):
        clock.advance(0.5)
        day.saw(bad if number % 20 == 0 else good, width=300, height=300)
    day.save()
    kept = Day(tmp_path / "day.json", clock)
    kept.open()
    board = streaming_board(clock)
    for of_day in (day, kept):
        sources = Sources(board=board, metrics=Metrics(), shown=Shown(board), behind=Behind(day=of_day))
        started = time.thread_time()
        told = trends.data(sources, {})
        assert time.thread_time() - started < 0.5
        minutes = 1439  # the one that it began in is older than 24 hours by now
        assert told["total"]["inspected"] == pytest.approx(minutes * 120, abs=120)
        assert told["total"]["rejected"] / told["total"]["inspected"] == pytest.approx(0.05, abs=0.001)
        assert sum(one["inspected"] for one in told["bins"]) == told["total"]["inspected"]
        assert all(one["score_max"] == pytest.approx(160) for one in told["bins"][1:-1])
        assert told["defects"] == DEFECTS, "of 17,280"
        since = datetime.fromisoformat(told["defects_since"].replace("Z", "+00:00"))
        assert (clock.utc_now() - since).total_seconds() == pytest.approx(DEFECTS / 2 * 10, abs=20)
        assert {one["name"] for one in told["pareto"]["place"]} == {"top left", "bottom right"}


def test_a_roll_is_drawn_while_it_runs(client: httpx.Client, station: Station) -> None:
    for number in range(20):
        name, boxes = ("fail", ((10, 4, 6, 8),)) if number == 7 else ("pass", ())
        record = verdict(number, name, first_line=256 * number, boxes=boxes)  # type: ignore[arg-type]
        station.rolls.take(record.model_copy(update={"roll_id": "r1"}), 300)
    (roll,) = view(client, "trends")["rolls"]
    assert (roll["lines"], roll["defects_counted"]) == (20 * 256, 1)
    assert roll["metres"] == pytest.approx(0.512)
    assert roll["stretches"] == [[7 * 256, 256, "fail"]]
    assert roll["defects"][0][:4] == [10, 7 * 256 + 4, 6, 8]


def test_every_view_of_an_empty_station_is_json(client: httpx.Client) -> None:
    for name in VIEWS:
        if name != "result":
            assert json.dumps(view(client, name))
