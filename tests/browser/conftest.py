"""One browser for all tests of a file, and a page with a station that runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.page.server import PageServer
from agent.status.board import Board
from agent.status.metrics import Metrics
from tests.agent.page.station import Station, running
from tests.agent.status.samples import streaming_board
from tests.browser.browser import Browser, find_chromium

CHROMIUM = find_chromium()
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine; `make test` installs it"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    with Browser(CHROMIUM, tmp_path_factory.mktemp("browser") / "new") as browser:
        yield browser


@pytest.fixture
def board() -> Board:
    return streaming_board(SystemClock())


@pytest.fixture
def page(board: Board, browser: Browser) -> Iterator[PageServer]:
    server = PageServer(board, Metrics(), host="127.0.0.1", port=0)
    server.start()
    begin(browser)
    yield server
    browser.open("about:blank")
    server.stop()


@pytest.fixture
def station(tmp_path: Path, browser: Browser) -> Iterator[Station]:
    """One that has all that views can show."""
    with running(tmp_path / "station") as station:
        begin(browser)
        yield station
        browser.open("about:blank")


def begin(browser: Browser) -> None:
    browser.errors.clear()
    browser.addresses.clear()
    browser.resize(1280, 900)
