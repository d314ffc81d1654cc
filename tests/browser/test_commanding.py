"""People command the station by clicking: pause, threshold, a way back, and the control beside an MES."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.agent.page.station import Station
from tests.browser.browser import Browser
from tests.browser.conftest import needs_chromium
from tests.browser.test_views import fill, go

pytestmark = needs_chromium


def click(browser: Browser, words: str) -> None:
    buttons = "[...document.querySelectorAll('button')]"
    browser.evaluate(f"{buttons}.find(e => e.textContent === {words!r} && e.offsetParent).click()")


def fill_in(browser: Browser, name: str, value: str) -> None:
    browser.evaluate(
        f"(e => {{ e.value = {value!r}; e.dispatchEvent(new Event('input', {{ bubbles: true }})) }})"
        f"(document.querySelector('input[name={name}]'))"
    )


def asked(browser: Browser, station: Station, name: str) -> Mapping[str, Any]:
    browser.wait_until("[...document.querySelectorAll('#view button')].every(e => !e.disabled)")
    return next(args for what, args, _ in reversed(station.desk.asked) if what == name)


def test_a_pause_and_a_threshold_that_was_weighed_first(station: Station, browser: Browser) -> None:
    go(browser, station, "model", fill(station))
    fill_in(browser, "reason", "gripper")
    click(browser, "Pause")
    assert asked(browser, station, "pause") == {"reason": "gripper"}
    station.desk.answers["what_if"] = {
        "words": ["<b>two</b> more would be rejects"],
        "results": 9,
        "rejects_now": 1,
        "rejects_then": 3,
    }
    buttons = "[...document.querySelectorAll('#view button')].filter(e => e.offsetParent)"
    set_it = f"{buttons}.some(e => e.textContent.startsWith('Set'))"
    assert not browser.evaluate(set_it), "nothing is set that was not weighed"
    fill_in(browser, "threshold", "0.02")
    click(browser, "What would it change?")
    browser.wait_until(
        "document.querySelector('#view').textContent.includes('<b>two</b> more would be rejects')"
    )
    click(browser, "Set this threshold")
    click(browser, "Set it: yes")
    assert asked(browser, station, "threshold") == {"threshold": 0.02, "onto": "cd" * 32}
    assert browser.errors == []


def test_a_camera_is_switched_off_with_a_reason_and_on_again(station: Station, browser: Browser) -> None:
    go(browser, station, "cameras", fill(station))
    click(browser, "Disable camera top")
    assert station.desk.asked == [], "a reason is needed"
    fill_in(browser, "reason", "lens is dirty")
    click(browser, "Disable camera top")
    assert station.desk.asked == [], "it asks twice"
    click(browser, "Disable it: yes")
    assert asked(browser, station, "disable") == {"camera": "top", "reason": "lens is dirty"}
    station.board.camera_state("top", "disabled", "since 14:00 by anna: lens is dirty")
    browser.wait_until(
        "[...document.querySelectorAll('#view button')].some(e => e.textContent === 'Enable camera top')"
    )
    assert "lens is dirty" in browser.text("#view")
    click(browser, "Enable camera top")
    assert asked(browser, station, "enable") == {"camera": "top"}
    assert [who for _, _, who in station.desk.asked] == ["this machine", "this machine"]


def test_settings_go_back_after_a_second_click(station: Station, browser: Browser) -> None:
    go(browser, station, "model", fill(station))
    assert "judge.threshold: 0.01 → 0.02" in browser.text("#view")
    click(browser, "Go back")
    assert station.history.reverted == []
    click(browser, "Go back: yes")
    browser.wait_until("document.querySelector('#view').textContent.includes('Those settings are checked')")
    assert station.history.reverted == [(f"{1:064x}", "this machine")]


def test_the_control_is_taken_and_given_back(station: Station, browser: Browser) -> None:
    station.desk.commanded_ns = station.clock.monotonic_ns()
    go(browser, station, "model", fill(station))
    browser.wait_until("!document.getElementById('control').hidden")
    fill_in(browser, "reason", "gripper")
    click(browser, "Pause")
    browser.wait_until("document.querySelector('#view').textContent.includes('take the control')")
    assert station.desk.asked == []
    click(browser, "Take control for 15 minutes")
    browser.wait_until("!document.getElementById('control-give').hidden")
    click(browser, "Pause")
    browser.wait_until("document.querySelector('#view').textContent.includes('It is paused')")
    click(browser, "Give it back")
    browser.wait_until("document.getElementById('control-give').hidden")
    assert [what for what, _, _ in station.desk.asked] == ["pause"]


def test_the_doctor_looks_when_asked_and_says_what_to_do(station: Station, browser: Browser) -> None:
    go(browser, station, "doctor", fill(station))
    finding = {
        "family": "disk",
        "check": "room",
        "state": "wrong",
        "words": "<i>full</i>",
        "remedy": "make room",
    }
    station.desk.says["doctor"] = [
        ("clock: date", {"looked_at": 1, "finding": {**finding, "family": "clock", "state": "ok"}}),
        ("disk: room", {"looked_at": 2, "finding": finding}),
    ]
    station.desk.answers["doctor"] = {"wrong": 1, "notes": 0, "good": 4, "skipped": 2, "findings": [finding]}
    station.desk.may_end.clear()
    click(browser, "Look now")
    browser.wait_until("document.querySelector('#view').textContent.includes('2 things looked at')")
    browser.wait_until("document.querySelectorAll('#view tbody tr').length === 1")
    assert "make room" in browser.text("#view"), "the remedy is told as soon as it is found"
    browser.evaluate("location.hash = '#/uplink'")
    browser.wait_for("#broker")
    browser.evaluate("location.hash = '#/doctor'")
    browser.wait_until("document.querySelector('#view').textContent.includes('2 things looked at')")
    assert "make room" in browser.text("#view"), "a look that goes on is there for whoever comes back"
    assert browser.evaluate("document.querySelector('#view [type=submit]').disabled"), (
        "and is not begun twice"
    )
    browser.evaluate("location.hash = '#/uplink'")
    browser.wait_for("#broker")
    station.desk.may_end.set()
    browser.evaluate("location.hash = '#/doctor'")
    browser.wait_until("document.querySelector('#view').textContent.includes('1 thing wrong')")
    assert browser.evaluate("document.querySelectorAll('#view tbody tr').length") == 1
    assert "<i>full</i>" in browser.text("#view") and "Looked at" in browser.text("#view")
    assert [name for name, _, _ in station.desk.asked] == ["doctor"]
    assert browser.errors == []


def test_labels_are_learned_looked_at_and_used_after_a_second_click(
    station: Station, browser: Browser
) -> None:
    go(browser, station, "model", fill(station))
    click(browser, "Learn labels from marks")
    browser.wait_until("document.querySelector('#view').textContent.includes('rare: 2 of the 5')")
    assert "keeps no picture of it" in browser.text("#view")
    assert station.proposed == []
    click(browser, "Use these labels")
    click(browser, "Use them: yes")
    browser.wait_until("document.querySelector('#view').textContent.includes('Defects get these labels')")
    ((patch, _),) = station.proposed
    assert list(patch) == ["labels"]
    assert browser.errors == []
