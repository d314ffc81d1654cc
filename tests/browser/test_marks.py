"""Right or wrong with a label at one key press, undone, by keyboard alone, narrow, and with markup in it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from agent.contract.judging import MarkResult
from agent.marks.file import Wanted
from agent.page.jobs import unheard
from tests.agent.page.station import Station
from tests.browser.axe import violations
from tests.browser.browser import Browser
from tests.browser.conftest import needs_chromium
from tests.browser.sound import looks
from tests.browser.test_views import fill, go

pytestmark = needs_chromium

PANEL = 'section[aria-label="Is it right?"]'
SAID = f"document.querySelector('{PANEL} [role=status]').textContent"
STATE = f"document.querySelector('{PANEL} p').textContent"


def said(station: Station) -> list[tuple[str, str | None, str, str]]:
    """What was said, oldest first."""
    found = station.marks.file.find(Wanted(history=True)).marks
    return [(one.says, one.label, one.who, one.way) for one in reversed(found)]


def press(browser: Browser, key: str) -> None:
    browser.press(key, ord(key.upper()), key)


def test_one_key_says_right_or_wrong_and_another_takes_it_back(station: Station, browser: Browser) -> None:
    reject = fill(station)
    go(browser, station, "result", reject)
    press(browser, "w")
    browser.wait_until(f"{SAID} === 'Marked wrong: the part is good'")
    assert browser.evaluate(STATE) == "Wrong, says this machine"
    press(browser, "u")
    browser.wait_until(f"{SAID} === 'The mark was taken back'")
    press(browser, "r")
    browser.wait_until(f"{SAID} === 'Marked right: the part is defective'")
    assert said(station) == [
        ("wrong", None, "this machine", "page"),
        ("taken_back", None, "this machine", "page"),
        ("right", None, "this machine", "page"),
    ]
    assert browser.errors == []


def test_a_label_is_typed_once_and_is_a_digit_from_then_on(station: Station, browser: Browser) -> None:
    reject = fill(station)
    go(browser, station, "result", reject)
    browser.evaluate(f"document.querySelector('{PANEL} input[name=label]').focus()")
    for letter in "wurst 1":  # letters that are keys elsewhere
        browser.press(letter, ord(letter.upper()), letter)
    browser.press("Enter", 13, "\r")
    browser.wait_until(f"{SAID} === 'Marked right (wurst 1): the part is defective'")
    go(browser, station, "result", "0192-top-7")
    assert browser.evaluate(f"document.querySelector('{PANEL} .chips').textContent") == "1 wurst 1"
    press(browser, "1")
    browser.wait_until(f"{SAID} === 'Marked right (wurst 1): the part is defective'")
    go(browser, station, "result", station.judge(14, "pass", kept=True).result_id)
    press(browser, "1")
    browser.wait_until(f"{SAID}.startsWith('Marked wrong (wurst 1): the part is defective')")
    assert [(says, label) for says, label, _, _ in said(station)] == [
        ("right", "wurst 1"),
        ("right", "wurst 1"),
        ("wrong", "wurst 1"),
    ]
    assert browser.errors == []


def test_a_digit_stays_with_its_label_while_others_are_used(station: Station, browser: Browser) -> None:
    reject = fill(station)
    go(browser, station, "result", reject)
    for label in ("crack", "dark"):
        browser.evaluate(f"document.querySelector('{PANEL} input[name=label]').value = '{label}'")
        browser.evaluate(f"document.querySelector('{PANEL} form').requestSubmit()")
        browser.wait_until(f"{SAID}.startsWith('Marked right ({label})')")
    chips = f"[...document.querySelectorAll('{PANEL} .chips button')].map(e => e.textContent).join()"
    assert browser.evaluate(chips) == "1 crack,2 dark"
    press(browser, "1")
    browser.wait_until(f"{SAID}.startsWith('Marked right (crack)')")
    press(browser, "2")
    browser.wait_until(f"{SAID}.startsWith('Marked right (dark)')")
    assert browser.evaluate(chips) == "1 crack,2 dark"
    assert [label for _, label, _, _ in said(station)] == ["crack", "dark", "crack", "dark"]


def test_undo_goes_back_to_the_word_before(station: Station, browser: Browser) -> None:
    reject = fill(station)
    go(browser, station, "result", reject)
    press(browser, "r")
    browser.wait_until(f"{SAID}.startsWith('Marked right')")
    press(browser, "w")
    browser.wait_until(f"{SAID}.startsWith('Marked wrong')")
    buttons = f"[...document.querySelectorAll('{PANEL} button')]"
    browser.evaluate(f"{buttons}.find(e => e.textContent.startsWith('Undo')).click()")
    browser.wait_until(f"{SAID}.startsWith('Marked right')")
    assert [says for says, *_ in said(station)] == ["right", "wrong", "right"]


def test_what_is_no_label_is_refused_in_words_and_runs_nothing(station: Station, browser: Browser) -> None:
    reject = fill(station)
    go(browser, station, "result", reject)
    evil = "<img src=x onerror=document.title='owned'>"
    browser.evaluate(f"document.querySelector('{PANEL} input[name=label]').value = \"{evil}\"")
    browser.evaluate(f"document.querySelector('{PANEL} form').requestSubmit()")
    browser.wait_until(f"{SAID}.includes('cannot stand in a label')")
    assert browser.evaluate("document.querySelector('img[src=x]')") is None
    assert "owned" not in browser.evaluate("document.title")
    assert said(station) == []


def test_keys_can_be_switched_off_and_stay_so(station: Station, browser: Browser) -> None:
    reject = fill(station)
    go(browser, station, "result", reject)
    browser.evaluate(f"document.querySelector('{PANEL} input[type=checkbox]').click()")
    press(browser, "w")
    go(browser, station, "result", reject)
    assert not browser.evaluate(f"document.querySelector('{PANEL} input[type=checkbox]').checked")
    press(browser, "w")
    browser.evaluate(f"document.querySelector('{PANEL} input[type=checkbox]').click()")
    press(browser, "r")
    browser.wait_until(f"{SAID}.startsWith('Marked right')")
    assert [says for says, *_ in said(station)] == ["right"]


def test_rejects_are_marked_on_their_cards_with_the_keyboard_alone(
    station: Station, browser: Browser
) -> None:
    fill(station)
    station.judge(15, "fail")
    go(browser, station, "rejects", "")
    for _ in range(40):
        browser.press("Tab", 9)
        if browser.evaluate("document.activeElement.closest('.wall li') !== null"):
            break
    card = "document.activeElement.closest('li')"
    assert browser.evaluate(f"{card} === document.querySelector('.wall li')")
    press(browser, "w")
    browser.wait_until(f"{card}.querySelector('.marked').textContent === 'Wrong, says this machine'")
    assert "Marked wrong: the part is good" in browser.text("main")
    assert browser.evaluate("document.activeElement.tagName") == "A"  # the focus stays
    browser.press("Tab", 9)
    browser.press("Enter", 13, "\r")  # the button Right
    browser.wait_until(f"{card}.querySelector('.marked').textContent === 'Right, says this machine'")
    press(browser, "u")
    browser.wait_until(f"{card}.querySelector('.marked').textContent === 'Wrong, says this machine'")
    assert [says for says, *_ in said(station)] == ["wrong", "right", "wrong"]
    assert browser.errors == []


def test_somebody_elses_mark_is_seen_and_a_station_that_refuses_says_why(
    station: Station, browser: Browser
) -> None:
    reject = fill(station)
    go(browser, station, "rejects", "")
    asked = MarkResult.model_validate({"result_id": reject, "says": "right", "label": "dent"})
    station.marks.mark(asked, "MES 4 <b>", "mes")
    browser.wait_until("document.querySelector('main').innerText.includes('Right (dent), says MES 4 <b>')")
    assert browser.evaluate("document.querySelector('main b')") is None
    station.marks.stop()
    browser.evaluate("document.querySelector('.wall .says button').click()")
    browser.wait_until("document.querySelector('main').innerText.includes('the agent ends')")


@pytest.mark.slow
def test_marks_are_reached_and_read_in_every_width_and_colour(
    station: Station, browser: Browser, tmp_path: Path
) -> None:
    reject = fill(station)
    for label in ("scratch", "a label as long as one may ever be, 48 signs of it"[:48].strip(), "Delle"):
        station.desk.ask(
            "mark", {"result_id": reject, "says": "right", "label": label}, "Ada", within_s=1, say=unheard
        )
    for view in ("rejects", "result"):
        for width, look in looks(browser, partial(go, browser, station, view, reject)):
            assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), (width, look)
            assert violations(browser) == [], (view, width, look)
            low = (
                f"[...document.querySelectorAll('.says button, {PANEL} button')]"
                ".map(e => e.getBoundingClientRect()).filter(r => r.height < 44 || r.width < 44).length"
            )
            assert browser.evaluate(low) == 0, (view, width, look)
            if view == "result":
                browser.evaluate(f"document.querySelector('{PANEL}').scrollIntoView()")
            browser.screenshot(tmp_path / f"marks-{view}-{width}-{look}.png")
    assert browser.errors == []
