"""One browser for all tests, and a page with a station that runs."""

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


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Starting one takes a second of computing."""
    assert CHROMIUM is not None
    with Browser(CHROMIUM, tmp_path_factory.mktemp("browser") / "new") as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """As a new one would be: an empty tab, no cookie, nothing remembered."""
    chromium.resize(1280, 900)
    chromium.command("Network.clearBrowserCookies")
    chromium.errors.clear()
    chromium.addresses.clear()
    yield chromium
    chromium.open("about:blank")


@pytest.fixture
def board() -> Board:
    return streaming_board(SystemClock())


@pytest.fixture
def page(board: Board, browser: Browser) -> Iterator[PageServer]:
    server = PageServer(board, Metrics(), host="127.0.0.1", port=0)
    server.start()
    yield server
    browser.open("about:blank")
    server.stop()


@pytest.fixture
def station(tmp_path: Path, browser: Browser) -> Iterator[Station]:
    """One that has all that views can show."""
    with running(tmp_path / "station") as station:
        yield station
        browser.open("about:blank")
