"""People see on the page what the board holds: decisions, pictures with their age, words, and silence."""

from __future__ import annotations

import itertools
import re
import threading
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import pytest

from agent.clock import SystemClock, rfc3339
from agent.page.connections import LIMITS, Limits
from agent.page.feed import STREAM_S
from agent.page.server import PageServer
from agent.status.board import Board
from agent.status.metrics import Metrics
from tests.agent.status.samples import THRESHOLD, part, verdict
from tests.browser.browser import Browser
from tests.browser.conftest import needs_chromium

pytestmark = needs_chromium

HASTE = 0.3  # of the time that a stream and an answer may last


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
        ).model_copy(update={"created": rfc3339(SystemClock().utc_now())})
        board.judged(record, seen.image)
        if fail:
            board.rejected(
                record,
                image=seen.image,
                restored=seen.restored,
                evidence=seen.evidence,
                threshold=THRESHOLD,
            )


def open_live(browser: Browser, page: PageServer) -> None:
    browser.open(page.url)
    browser.wait_for(".sign svg")
    browser.wait_for_pictures()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["grey", "dark"])
def test_a_decision_is_read_from_afar_by_word_form_and_edge(
    board: Board, page: PageServer, browser: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    judge(board, range(12))
    browser.resize(width, 900, dark=dark)
    open_live(browser, page)
    assert browser.text("#station") == "cell3-cam1"
    assert browser.text("#health") == "Running"
    assert browser.text(".sign") == "NG"
    cross = browser.evaluate("document.querySelector('.sign path').getAttribute('d')")
    size = browser.evaluate("parseFloat(getComputedStyle(document.querySelector('.sign')).fontSize)")
    assert size >= (100 if width == 1280 else 50)
    edge = "getComputedStyle(document.querySelector('.verdict')).borderTopWidth"
    assert browser.evaluate(f"parseFloat({edge})") >= 10
    for words in ("Part P-11", "score 160.0", "Picture from"):
        assert words in browser.text(".verdict")
    assert browser.evaluate("document.querySelectorAll('.film li').length") == 12
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

    judge(board, range(12, 13))
    browser.wait_until("document.querySelector('.sign').innerText.trim() === 'OK'")
    assert browser.evaluate("document.querySelector('.sign path').getAttribute('d')") != cross
    board.judged(verdict(13, "undecided", reason="no_evidence"), part(1).image)
    browser.wait_until("document.querySelector('.sign').innerText.trim() === 'UNKNOWN'")
    assert "no evidence" in browser.text(".verdict .about")


def test_the_first_view_is_there_within_a_second(board: Board, page: PageServer, browser: Browser) -> None:
    judge(board, range(50))
    browser.open(page.url)
    browser.wait_for(".sign svg")
    browser.wait_for_pictures()
    since_start = "performance.getEntriesByType('resource').find(e => e.name.includes('.jpg')).responseEnd"
    took_ms = min(_reloaded_ms(browser, since_start) for _ in range(3))
    assert took_ms < 1000
    sizes = "performance.getEntriesByType('resource').filter(e => /(js|css|svg)$/.test(e.name))"
    assert browser.evaluate(f"{sizes}.reduce((sum, e) => sum + e.decodedBodySize, 0)") < 60_000


def _reloaded_ms(browser: Browser, expression: str) -> float:
    browser.evaluate("document.body.dataset.old = 1")
    browser.command("Page.reload")
    browser.wait_until("document.body && !document.body.dataset.old && !!document.querySelector('.sign svg')")
    browser.wait_for_pictures()
    took: float = browser.evaluate(expression)
    return took


def test_counters_have_their_denominators_and_large_ones_stay_in_their_cells(
    board: Board, page: PageServer, browser: Browser
) -> None:
    judge(board, range(8))
    board.judged(verdict(8, "skipped", reason="overload"), None)
    open_live(browser, page)
    said = {
        name: browser.text(f"[data-count={name}] dd").split("\n")
        for name in ("inspected", "good", "rejected", "unknown", "dropped")
    }
    assert said == {
        "inspected": ["8", "88.9 % of 9 triggers"],
        "good": ["6", "75.0 % of 8 inspected"],
        "rejected": ["2", "25.0 % of 8 inspected"],
        "unknown": ["0", "0 % of 8 inspected"],
        "dropped": ["1", "11.1 % of 9 triggers"],
    }
    large = "document.querySelectorAll('.counts dd').forEach(e => e.firstChild.data = '12,345,678')"
    for width in (1920, 1280, 1000, 700, 390, 320):
        browser.resize(width, 900)
        browser.evaluate(large)
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    assert browser.errors == []


@pytest.mark.slow
def test_a_station_that_skips_is_not_shown_as_well(board: Board, page: PageServer, browser: Browser) -> None:
    judge(board, range(99))
    open_live(browser, page)
    browser.wait_until("document.querySelector('#health-state').className === 'none'")
    board.judged(verdict(99, "skipped", reason="camera_error"), None)
    browser.wait_until("document.querySelector('#health-state').className === 'warn'")
    assert browser.text("#health-state") == "Running"
    assert browser.text("#health-reasons") == "1 of 100 frames of the last minute not judged"
    for number in range(100, 200):
        board.judged(verdict(number, "skipped", reason="overload"), part(1).image[::3, ::3].copy())
    browser.wait_until("document.querySelector('#health-state').textContent === 'Degraded'")
    assert "queue full, the machine is too slow" in browser.text("#health-reasons")
    browser.wait_until("document.querySelector('.verdict h3').textContent.includes('101 of 200 frames')")
    assert "Dropped" in browser.text(".film li")
    assert browser.text(".sign") == "UNKNOWN"


def test_the_box_of_a_defect_lies_over_the_defect(board: Board, page: PageServer, browser: Browser) -> None:
    judge(board, range(3, 4), width=900)
    open_live(browser, page)
    browser.wait_for(".verdict rect")
    shown = browser.evaluate(
        """(() => {
          const all = document.querySelector('.verdict .view').getBoundingClientRect();
          const box = document.querySelector('.verdict rect:not(.edge)').getBoundingClientRect();
          const x = (box.left + box.right) / 2 - all.left, y = (box.top + box.bottom) / 2 - all.top;
          return [x / all.width, y / all.height];
        })()"""
    )
    x, y, width, height = part(3, width=900).box
    assert shown == pytest.approx([(x + width / 2) / 900, (y + height / 2) / 300], abs=0.02)


def test_what_happens_later_appears_without_a_reload_and_the_last_reject_stays(
    board: Board, page: PageServer, browser: Browser
) -> None:
    browser.open(page.url)
    browser.wait_for("#no-reject")
    assert browser.text("#no-reject") == "Nothing was rejected since start."
    judge(board, range(4))
    board.link_state("lost", "connection refused")
    board.camera_state("top", "lost", "no frame for 5 s")
    browser.wait_for(".last-reject img")
    browser.wait_until("document.querySelector('#health-state').textContent === 'Degraded'")
    assert "Camera top lost for" in browser.text("#health-reasons")
    browser.wait_until("document.title === 'Degraded: cell3-cam1'")
    judge(board, range(4, 7))
    browser.wait_until("document.querySelector('.sign').innerText.trim() === 'OK'")
    assert "Part P-3" in browser.text(".last-reject")
    judge(board, range(7, 8))
    browser.wait_until("document.querySelector('.last-reject').innerText.includes('Part P-7')")
    assert "Rejected: camera top, frame 7" in browser.text("[role=alert].sr")


def test_an_old_picture_is_greyed_and_crossed_with_words(
    board: Board, page: PageServer, browser: Browser
) -> None:
    for number in range(3):
        judge(board, range(number, number + 1))
    open_live(browser, page)
    browser.wait_for(".verdict .crossed")
    assert browser.text(".verdict .crossed").startswith("Old picture:")
    grey = "getComputedStyle(document.querySelector('.verdict .view')).filter"
    assert "grayscale" in browser.evaluate(grey)
    assert browser.evaluate("!!document.querySelector('.verdict.is-old .crossed path')")
    judge(board, range(3, 4))
    browser.wait_until("document.querySelector('.verdict .crossed').hidden")


@pytest.mark.slow
def test_the_view_cameras_crosses_no_picture_for_its_own_pause_between_two_looks(
    board: Board, page: PageServer, browser: Browser
) -> None:
    for number in range(3):
        judge(board, range(number, number + 1))
    browser.open(f"{page.url}#/cameras")
    browser.wait_until("document.querySelector('.aged .crossed')?.hidden === false")
    words = browser.text(".aged .crossed")
    passed = re.fullmatch(r"Old picture: (\d+) s, one was due after 1 s", words)
    assert passed is not None and int(passed[1]) >= 4, words


def test_a_frozen_camera_is_crossed_though_its_pictures_are_new(
    board: Board, page: PageServer, browser: Browser
) -> None:
    ended = threading.Event()

    def stand_still() -> None:
        for number in itertools.count():
            record = verdict(number)
            frame = record.frame.model_copy(update={"sha256": "ab" * 32})
            created = rfc3339(SystemClock().utc_now())
            board.judged(record.model_copy(update={"frame": frame, "created": created}), part(1).image)
            if ended.wait(0.2):
                return

    line = threading.Thread(target=stand_still)
    line.start()
    try:
        open_live(browser, page)
        browser.wait_until("document.querySelector('.verdict .crossed').innerText.startsWith('Frozen:')")
        assert "same picture again and again" in browser.text("#health-reasons")
    finally:
        ended.set()
        line.join()


def test_a_camera_that_is_gone_leaves_no_picture_that_looks_live(
    board: Board, page: PageServer, browser: Browser
) -> None:
    judge(board, range(1))
    board.camera_state("top", "lost", "no frame for 5 s")
    open_live(browser, page)
    browser.wait_for(".verdict .crossed")
    assert browser.text(".verdict .crossed") == "Old picture: camera lost"


def test_the_film_strip_is_paused_and_shows_rejects_alone(
    board: Board, page: PageServer, browser: Browser
) -> None:
    judge(board, range(12))
    open_live(browser, page)
    browser.evaluate("document.querySelector('[aria-pressed]').click()")
    judge(board, range(12, 20))
    browser.wait_until("document.querySelector('.film').parentElement.innerText.includes('paused, 8 newer')")
    assert browser.text(".film li").split()[1] == "11"
    browser.evaluate("document.querySelector('[aria-pressed]').click()")
    browser.wait_until("document.querySelector('.film li').innerText.includes('19')")
    browser.evaluate("document.querySelector('[aria-label=\"Film strip\"] input').click()")
    browser.wait_until("document.querySelectorAll('.film li').length === 5")
    assert browser.evaluate(
        "[...document.querySelectorAll('.film li')].every(e => e.dataset.verdict === 'fail')"
    )


def test_the_film_strip_marks_a_picture_that_was_deleted(
    board: Board, page: PageServer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.status.board.STRIP_BYTES", 200_000)
    judge(board, range(5))
    open_live(browser, page)
    cells = (
        "[...document.querySelectorAll('.film li')].map(e => e.innerText.includes('deleted to make room'))"
    )
    assert browser.evaluate(cells) == [False, False, True, True, True]


def test_a_page_that_nobody_sees_asks_for_no_picture_and_keeps_its_state(
    board: Board, page: PageServer, browser: Browser
) -> None:
    judge(board, range(8))
    open_live(browser, page)
    browser.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    browser.wait_until(
        "performance.getEntriesByName(new URL('api/events?only=now', location).href).length >= 0"
    )
    browser.addresses.clear()
    judge(board, range(8, 16))
    board.link_state("lost", "connection refused")
    browser.wait_until("document.querySelector('#health-state').textContent === 'Degraded'")
    assert not [address for address in browser.addresses if ".jpg" in address]
    browser.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    browser.wait_until("document.querySelector('.film li').innerText.includes('15')")


def test_views_are_reached_and_left_with_the_keyboard_alone_and_back_works(
    board: Board, page: PageServer, browser: Browser
) -> None:
    judge(board, range(8))
    open_live(browser, page)
    focused = "document.activeElement.innerText?.trim()"
    for _ in range(9):
        browser.press("Tab", 9)
        if browser.evaluate(focused) == "Cameras":
            break
    assert browser.evaluate(focused) == "Cameras"
    browser.press("Enter", 13, "\r")
    browser.wait_until("document.querySelector('#title').textContent === 'Cameras'")
    browser.wait_for(".of-cameras .panel dd")
    assert browser.evaluate("document.activeElement.id") == "title"
    assert browser.evaluate("document.querySelector('[aria-current]').innerText") == "Cameras"
    browser.evaluate("history.back()")
    browser.wait_for(".of-live .sign svg")
    assert browser.evaluate("document.querySelector('[aria-current]').innerText") == "Live"
    assert browser.errors == []


def test_every_picture_and_control_has_a_name_for_screen_readers(
    board: Board, page: PageServer, browser: Browser
) -> None:
    judge(board, range(8))
    open_live(browser, page)
    nameless = (
        "[...document.querySelectorAll('img:not(a img), button')]"
        ".filter(e => !(e.alt || e.ariaLabel || e.textContent)).map(e => e.outerHTML)"
    )
    assert browser.evaluate(nameless) == []
    levels = browser.evaluate(
        "[...document.querySelectorAll('main h1, main h2, main h3')].map(e => +e.tagName[1])"
    )
    assert levels[0] == 2
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_a_theme_is_chosen_and_kept(board: Board, page: PageServer, browser: Browser) -> None:
    judge(board, range(1))
    open_live(browser, page)
    browser.evaluate(
        "document.querySelector('#theme').value = 'dark';"
        "document.querySelector('#theme').dispatchEvent(new Event('change'))"
    )
    browser.evaluate("document.querySelector('#lights').click()")
    open_live(browser, page)
    assert browser.evaluate("document.documentElement.dataset.theme") == "dark"
    assert browser.evaluate("document.documentElement.dataset.lights") == "classic"
    browser.evaluate("localStorage.clear()")


@pytest.mark.slow
def test_a_page_without_an_answer_says_so_and_recovers(
    board: Board, page: PageServer, browser: Browser
) -> None:
    judge(board, range(4))
    open_live(browser, page)
    page.stop()
    browser.wait_for("#stale")
    assert "No answer from the agent for" in browser.text("#stale")
    assert "What you see is from" in browser.text("#stale")
    assert browser.text("#health") == "No answer"
    page.start()
    browser.wait_until("document.querySelector('#stale').hidden")
    browser.wait_until("document.querySelector('#health').innerText.trim() === 'Running'")


@pytest.mark.slow
def test_one_stream_goes_on_for_longer_than_one_answer_may_last(
    board: Board, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.page.feed.STREAM_S", HASTE * STREAM_S)
    limits = Limits(answer_s=HASTE * LIMITS.answer_s)
    page = PageServer(board, Metrics(), host="127.0.0.1", port=0, limits=limits)
    page.start()
    judge(board, range(4))
    open_live(browser, page)
    streams = "performance.getEntriesByType('resource').filter(e => e.name.includes('api/events')).length"
    browser.wait_until(f"{streams} >= 2", timeout_s=90)
    browser.addresses.clear()
    judge(board, range(4, 5))
    browser.wait_until("document.querySelector('.about').innerText.includes('P-4')")
    assert browser.evaluate("document.querySelector('#stale').hidden")
    assert not [address for address in browser.addresses if "api/views" in address], "nothing was missed"
    assert page.turned_away == 0
    browser.open("about:blank")
    page.stop()


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
            browser.wait_for(".last-reject")
            before = browser.text("[data-count=rejected] dd")
            browser.wait_until(f"document.querySelector('[data-count=rejected] dd').innerText !== {before!r}")
    finally:
        ended.set()
        line.join()
    browser.wait_for_pictures()
    assert [error for error in browser.errors if "500" in error] == []
