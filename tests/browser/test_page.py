"""People see on the page what the board holds: numbers, pictures, words, and silence when it is silent."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import pytest

from agent.clock import SystemClock
from agent.status.board import Board
from agent.status.metrics import Metrics
from agent.status.server import PageServer
from tests.agent.status.samples import THRESHOLD, part, verdict
from tests.browser.browser import Browser, find_chromium

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine; `make test` installs it"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    with Browser(CHROMIUM, tmp_path_factory.mktemp("browser") / "new") as browser:
        yield browser


@pytest.fixture
def board() -> Board:
    board = Board(station="cell3-cam1", version="0.1.0", clock=SystemClock())
    board.serving(engine="openvino-bf16", bundle="cells-1", bundle_sha256="ab" * 32, threshold=THRESHOLD)
    board.camera_state("top", "streaming")
    board.link_state("connected")
    return board


@pytest.fixture
def page(board: Board, browser: Browser) -> Iterator[PageServer]:
    server = PageServer(board, Metrics(["top"]), host="127.0.0.1", port=0)
    server.start()
    browser.errors.clear()
    browser.addresses.clear()
    browser.resize(1280, 900)
    yield server
    browser.open("about:blank")
    server.stop()


def judge(board: Board, numbers: range, camera: str = "top", width: int = 300) -> None:
    """Every fourth frame fails."""
    for number in numbers:
        seen = part(number, width=width)
        fail = number % 4 == 3
        record = verdict(
            number,
            "fail" if fail else "pass",
            camera=camera,
            normalized=160 if fail else 50,
            boxes=(seen.box,) if fail else (),
            part_id=f"P-{number}",
            first_line=number * 300,
        )
        board.judged(record, seen.image)
        if fail:
            board.rejected(
                record,
                image=seen.image,
                restored=seen.restored,
                evidence=seen.evidence,
                threshold=THRESHOLD,
            )


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_reject_is_shown_with_its_grounds(
    board: Board, page: PageServer, browser: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    judge(board, range(12))
    browser.resize(width, 900, dark=dark)
    browser.open(page.url)
    browser.wait_for(".reject")
    browser.wait_for_pictures()

    assert browser.text("#station") == "cell3-cam1"
    assert browser.text("#health") == "Running"
    assert (browser.text("#pass"), browser.text("#fail")) == ("9", "3")
    assert browser.text("#reject-rate") == "25.0 %"
    assert browser.text("#broker") == "Broker connected; nothing waits in the outbox"
    card = browser.text(".reject")
    for words in ("Fail", "Part P-11", "160.0", "100 = threshold", "1 defect", "Restoration", "Evidence"):
        assert words in card
    assert browser.evaluate("document.querySelectorAll('.strip li').length") == 8
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "nothing sticks out sideways"
    )
    assert browser.errors == []
    assert {urlsplit(address).netloc for address in browser.addresses} <= {f"127.0.0.1:{page.port}", ""}

    shot = tmp_path / f"page-{width}.png"
    browser.screenshot(shot)
    picture = cv2.imread(str(shot))
    assert picture is not None
    assert picture.shape[:2] == (900, width)
    assert bool(picture.mean() < 100) is dark


def test_the_box_of_a_defect_lies_over_the_defect(board: Board, page: PageServer, browser: Browser) -> None:
    judge(board, range(3, 4), width=900)
    browser.open(page.url)
    browser.wait_for(".reject rect")
    shown = browser.evaluate(
        """(() => {
          const card = document.querySelector('.reject');
          const all = card.querySelector('.view').getBoundingClientRect();
          const box = card.querySelector('rect:not(.edge)').getBoundingClientRect();
          const x = (box.left + box.right) / 2 - all.left, y = (box.top + box.bottom) / 2 - all.top;
          return [x / all.width, y / all.height];
        })()"""
    )
    x, y, width, height = part(3, width=900).box
    assert shown == pytest.approx([(x + width / 2) / 900, (y + height / 2) / 300], abs=0.02)


def test_what_happens_later_appears_without_a_reload(
    board: Board, page: PageServer, browser: Browser
) -> None:
    browser.open(page.url)
    browser.wait_for("#no-reject")
    assert browser.text("#no-reject") == "Nothing was rejected since start."
    judge(board, range(4))
    board.link_state("lost", "connection refused")
    board.outbox_depth(rows=34, size_bytes=9000, oldest_s=12.0)
    board.camera_state("top", "lost", "no frame for 5 s")
    browser.wait_for(".reject")
    browser.wait_until("document.querySelector('#health-state').textContent === 'Degraded'")
    assert "34 records wait in the outbox" in browser.text("#broker")
    assert "Camera top lost for" in browser.text("#health-reasons")
    assert browser.text("#outbox") == "34 oldest 12 s"
    assert browser.evaluate("document.title") == "Degraded: cell3-cam1"


def test_a_reject_is_enlarged_and_left_with_the_keyboard_alone(
    board: Board, page: PageServer, browser: Browser
) -> None:
    judge(board, range(8))
    browser.open(page.url)
    browser.wait_for(".reject")
    browser.evaluate("document.querySelector('.reject .open').focus()")
    press(browser, "Enter", 13, text="\r")
    browser.wait_for("dialog[open] .reject")
    assert browser.text("#viewer-title") == "Record 8"
    press(browser, "ArrowRight", 39)
    browser.wait_until("document.querySelector('#viewer-title').textContent === 'Record 4'")
    press(browser, "Escape", 27)
    browser.wait_until("!document.querySelector('dialog').open")
    assert browser.errors == []


def test_every_picture_and_control_has_a_name_for_screen_readers(
    board: Board, page: PageServer, browser: Browser
) -> None:
    judge(board, range(8))
    browser.open(page.url)
    browser.wait_for(".reject")
    nameless = (
        "[...document.querySelectorAll('img, button')].filter(e => !(e.alt || e.ariaLabel || e.textContent))"
    )
    assert browser.evaluate(f"{nameless}.length") == 0
    levels = browser.evaluate(
        "[...document.querySelectorAll('main h1, main h2, main h3')].map(e => +e.tagName[1])"
    )
    assert levels[0] == 2
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_names_from_outside_cannot_become_markup(board: Board, page: PageServer, browser: Browser) -> None:
    evil = "<img src=x onerror=document.title='owned'>"
    seen = part(1)
    record = verdict(1, "fail", part_id=evil, reason=evil)
    board.judged(record, seen.image)
    board.rejected(record, image=seen.image, restored=None, evidence=None, threshold=THRESHOLD)
    board.link_state("lost", evil)
    browser.open(page.url)
    browser.wait_for(".reject")
    assert evil in browser.text(".reject .part")
    assert browser.evaluate("document.querySelector('img[src=x]')") is None


def test_a_page_without_an_answer_says_so_and_recovers(
    board: Board, page: PageServer, browser: Browser
) -> None:
    judge(board, range(4))
    browser.open(page.url)
    browser.wait_for(".reject")
    page.stop()
    browser.wait_for("#stale")
    assert "No answer from the agent for" in browser.text("#stale")
    assert "What you see is from" in browser.text("#stale")
    assert browser.text("#health") == "No answer"
    page.start()
    browser.wait_until("document.querySelector('#stale').hidden")
    assert browser.text("#health") == "Running"


def test_a_line_that_outruns_the_page_leaves_no_broken_picture(
    board: Board, page: PageServer, browser: Browser
) -> None:
    seen, ended = part(1), threading.Event()

    def run_line() -> None:
        for number in itertools.count():
            record = verdict(number, "fail", normalized=160, boxes=(seen.box,))
            board.judged(record, seen.image)
            board.rejected(
                record,
                image=seen.image,
                restored=seen.restored,
                evidence=seen.evidence,
                threshold=THRESHOLD,
            )
            if ended.wait(0.001):
                return

    line = threading.Thread(target=run_line)
    line.start()
    try:
        browser.open(page.url)
        for _ in range(3):
            browser.wait_for(".reject")
            before = browser.text("#fail")
            browser.wait_until(f"document.querySelector('#fail').textContent !== {before!r}")
    finally:
        ended.set()
        line.join()
    browser.wait_for_pictures()
    assert browser.errors == []


def press(browser: Browser, key: str, code: int, text: str = "") -> None:
    parameters = {"key": key, "code": key, "windowsVirtualKeyCode": code}
    browser.command("Input.dispatchKeyEvent", type="keyDown", text=text, **parameters)
    browser.command("Input.dispatchKeyEvent", type="keyUp", **parameters)
