"""One stream: what is new is told once and in order, who comes again goes on, and a gap is told as one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from agent.clock import SystemClock
from agent.page.feed import KEPT, Event, Feed
from agent.page.server import PageServer
from agent.page.sources import Json
from agent.status.board import Board
from agent.status.metrics import Metrics
from tests import plain_http
from tests.agent.status.samples import part, streaming_board, verdict


class News:
    def __init__(self) -> None:
        self.asked = 0

    def look(self) -> list[tuple[str, Json]]:
        self.asked += 1
        return [("now", {"n": self.asked})]


def told(events: list[Event]) -> list[int]:
    return [json.loads(one.text.split(b"data: ")[1])["n"] for one in events]


def test_whoever_listens_is_told_of_one_look() -> None:
    news = News()
    feed = Feed(news.look, every_s=0.5)
    assert [one.name for one in feed.after(None, 0.0)[0]] == ["gap"]
    _, number = feed.after(None, 0.1)
    assert news.asked == 1
    events, number = feed.after(number, 0.6)
    assert (told(events), news.asked) == ([2], 2)
    assert feed.after(number, 0.7) == ([], number)


def test_who_comes_again_goes_on_where_it_was_and_a_gap_is_told() -> None:
    feed = Feed(News().look, every_s=0.5)
    first = feed.after(None, 0.0)[1]
    for turn in range(1, 4):
        feed.after(None, turn * 1.0)
    assert told(feed.after(first, 3.1)[0]) == [2, 3, 4]
    for turn in range(4, 4 + KEPT + 1):
        feed.after(None, turn * 1.0)
    events, number = feed.after(first, 4.0 + KEPT)
    assert [one.name for one in events] == ["gap"]
    assert feed.after(number, 4.1 + KEPT) == ([], number)


@pytest.mark.parametrize("last_id", ["", "7", "other-7", "-1", "other", f"other-{'9' * 5000}"])
def test_a_number_of_another_run_or_none_says_nothing(last_id: str) -> None:
    assert Feed(News().look).number_of(last_id) is None


@pytest.fixture
def board() -> Board:
    return streaming_board(SystemClock())


@pytest.fixture
def page(board: Board) -> Iterator[PageServer]:
    server = PageServer(board, Metrics(), host="127.0.0.1", port=0)
    server.start()
    yield server
    server.stop()


def read(page: PageServer, wanted: str, headers: dict[str, str] | None = None, query: str = "") -> list[str]:
    """The lines of the stream up to the first event of that name, its data included."""
    lines: list[str] = []
    address = f"{page.url}api/events{query}"
    with plain_http.stream("GET", address, headers=headers, timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        for line in answer.iter_lines():
            lines.append(line)
            if line.startswith("data: ") and lines[-2] == f"event: {wanted}":
                return lines
    raise AssertionError(f"no {wanted}: {lines}")


def test_a_record_is_told_with_what_the_film_strip_shows(page: PageServer, board: Board) -> None:
    begun = read(page, "now")
    last_id = [line for line in begun if line.startswith("id: ")][-1].removeprefix("id: ")
    board.judged(verdict(1), part(1).image)
    lines = read(page, "live", {"Last-Event-ID": last_id})
    assert "event: gap" not in lines
    data = json.loads(lines[-1].removeprefix("data: "))
    assert [one["frame_id"] for one in data["results"]] == [1]
    assert data["start"]["inspected"] == 1


def test_a_page_that_nobody_sees_is_told_of_its_station_alone(page: PageServer, board: Board) -> None:
    for number in range(3):
        board.judged(verdict(number), part(1).image)
    lines = [*read(page, "now", query="?only=now"), *read(page, "now", query="?only=now")]
    assert "event: live" not in lines


def test_a_server_that_stops_ends_its_streams_at_once(page: PageServer) -> None:
    ended = threading.Event()

    def listen() -> None:
        with plain_http.stream("GET", f"{page.url}api/events", timeout=60) as answer:
            for _ in answer.iter_lines():
                begun.set()
        ended.set()

    begun = threading.Event()
    threading.Thread(target=listen, daemon=True).start()
    assert begun.wait(30)
    page.stop()
    assert ended.wait(30)
