"""People see on the page what the board holds: numbers, pictures, words, and silence when it is silent."""

from __future__ import annotations

import itertools
import re
import threading
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import pytest

from agent.page.server import PageServer
from agent.status.board import Board
from tests.agent.status.samples import THRESHOLD, part, verdict
from tests.browser.browser import Browser
from tests.browser.conftest import needs_chromium

pytestmark = needs_chromium


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


STICKING_OUT = """(() => {
  for (const name of ['pass', 'fail', 'undecided', 'skipped'])
    document.getElementById(name).textContent = '12,345,678';
  return [...document.querySelectorAll('.numbers dd')].filter(cell => {
    const text = document.createRange();
    text.selectNodeContents(cell);
    const [seen, room] = [text.getBoundingClientRect(), cell.parentElement.getBoundingClientRect()];
    return seen.right > room.right - 4 || seen.bottom > room.bottom || room.right > innerWidth;
  }).map(cell => cell.id);
})()"""


@pytest.mark.parametrize("slow_ms", [3.2, 340.0, 4321.0, 99_999.0, 9_999_999.0])
def test_figures_of_any_size_stay_in_their_cells(
    board: Board, page: PageServer, browser: Browser, slow_ms: float
) -> None:
    for number in range(40):
        board.judged(verdict(number, recorded_ms=slow_ms if number % 3 else 340.0), None)
    board.outbox_depth(rows=12_345_678, size_bytes=9, oldest_s=999_999.0)
    browser.open(page.url)
    browser.wait_for("#recorded .figure")
    assert not re.search(r"\d{4}", browser.text("#recorded"))
    for width in (1920, 1600, 1280, 1101, 1099, 900, 700, 621, 619, 390, 320):
        browser.resize(width, 900)
        assert browser.evaluate(STICKING_OUT) == [], width
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    assert browser.errors == []


@pytest.mark.slow
def test_a_station_that_skips_is_not_shown_in_green(board: Board, page: PageServer, browser: Browser) -> None:
    judge(board, range(99))
    browser.open(page.url)
    browser.wait_for(".reject")
    assert browser.text("#judged") == "100 %"
    assert browser.evaluate("document.querySelector('#health-state').className") == "good"
    board.judged(verdict(99, "skipped", reason="camera_error"), None)
    browser.wait_until("document.querySelector('#health-state').className === 'warn'")
    assert browser.text("#health-state") == "Running"
    assert browser.text("#health-reasons") == "1 of 100 frames of the last minute not judged"
    assert browser.text("#judged") == "99 %"
    for number in range(100, 200):
        board.judged(verdict(number, "skipped", reason="overload"), part(1).image[::3, ::3].copy())
    browser.wait_until("document.querySelector('#health-state').textContent === 'Degraded'")
    assert "queue full, the machine is too slow" in browser.text("#health-reasons")
    browser.wait_until("document.querySelector('.camera-state').textContent.includes('101 of 200 frames')")
    browser.wait_for_pictures()
    assert browser.evaluate("document.querySelectorAll('.strip img').length") == 8
    assert "Skipped" in browser.text(".strip li")


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


@pytest.mark.slow
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


@pytest.mark.slow
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
