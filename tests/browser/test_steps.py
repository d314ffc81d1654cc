"""The view Teach at each of its steps: every width and colour, by keyboard, with names that are no markup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.page.server import PageServer
from agent.page.sessions.accounts import AccountsFile
from agent.page.sessions.roles import Role
from agent.remote.commands import what_if
from agent.status.metrics import Metrics
from agent.teach.current import CURRENT, Current, Last
from agent.teach.flow import Flow
from agent.teach.state import State
from agent.teach.station import Doing
from agent.teach.threshold import Scored, promise
from agent.teach.weighing import told
from tests.agent.page.station import Station
from tests.agent.status.samples import part
from tests.browser.axe import violations
from tests.browser.browser import Browser
from tests.browser.conftest import needs_chromium
from tests.browser.sound import require_sound
from tests.browser.test_commanding import asked, click

pytestmark = needs_chromium

EVIL = "<img src=x onerror=document.title='owned'>"
SCORES = [0.01 * 1.05 ** (number % 37) for number in range(60)]
WOULD = {
    "results": 9,
    "rejects_now": 1,
    "rejects_then": 3,
    "rejected": {"count": 2, "ids": ["0192-top-1", "0192-top-2"]},
    "passed": {"count": 0, "ids": []},
    "histogram": what_if.histogram([0.01, 0.02, 0.08]),
    "words": ["of 9 stored results it would reject 3"],
    "now": 0.031,
}


def taught(station: Station, tmp_path: Path, step: Any, target: float = 0.02, **more: Any) -> Flow:
    """As the station has it once that step is at hand."""
    folder = tmp_path / "station" / "teach"
    flow = Flow(folder / "plate")
    state = State(product="plate", source="camera", camera="top", wanted=60, target=target)
    flow.open(state)
    for number in range(6):
        flow.parts.add_picture(part(number).image, station.clock.utc_now())
    names = [one.name for one in flow.parts.pictures()]
    words = ["looks like a defect: score 4, the middle one 1", f"nearly the same picture as {EVIL}"]
    findings = [
        {"name": name, "kind": "defect", "words": one} for name, one in zip(names, words, strict=False)
    ]
    promised = promise(
        [Scored(score=score, camera="top", light=str(score > 0.03)) for score in SCORES], target
    )
    flow.keep(
        replace(
            state,
            step=step,
            checked={"pictures": 6, "findings": findings, "words": ["are these two products?"]},
            taught={"tried": 3, "scores": [0.02, 0.09, 0.1]},
            promised={**told(promised), "sees": 0.66, "histogram": what_if.histogram(SCORES)},
            **more,
        )
    )
    Current(folder / CURRENT).keep(Last(product="plate", who="anna", runs=False))
    station.teaching._find_again()
    return flow


def go(browser: Browser, station: Station, ready: str) -> None:
    station.desk.answers["what_if"] = WOULD
    browser.open("about:blank")
    browser.open(f"{station.page.url}#/teach")
    browser.wait_for(ready)
    browser.wait_for_pictures()


READY = {"": "form input[name=product]", "check": ".findings img", "activate": "#view .chart rect"}


@pytest.mark.slow
@pytest.mark.parametrize("step", READY)
def test_a_step_is_sound_in_every_width_and_colour(
    station: Station, browser: Browser, tmp_path: Path, step: str
) -> None:
    if step:
        taught(station, tmp_path, step)
    require_sound(browser, tmp_path, f"teach-{step or 'begin'}", lambda: go(browser, station, READY[step]))


def test_parts_are_decided_with_the_keyboard_alone(
    station: Station, browser: Browser, tmp_path: Path
) -> None:
    flow = taught(station, tmp_path, "check")
    go(browser, station, ".findings img")
    assert (
        EVIL in browser.text(".findings") and browser.evaluate("document.querySelector('img[src=x]')") is None
    )
    browser.evaluate("document.querySelector('.findings button').focus()")
    browser.press("Enter", 13, "\r")
    browser.wait_until("document.querySelectorAll('.findings:not(.is-aside) li').length === 1")
    assert browser.evaluate("document.activeElement.textContent") == "Take out", "the focus goes to the next"
    browser.press("Tab", 9)
    browser.press("Enter", 13, "\r")
    browser.wait_until("document.querySelector('.findings').hidden")
    assert browser.evaluate("document.activeElement.textContent") == "Go on"
    state = flow.state()
    assert state is not None and flow.parts.count() == 5 and len(state.kept) == 5
    record = [one.what for one in station.changes.last(5)]
    assert record == ["teach_sort", "teach_sort"] and browser.errors == []


def test_a_part_that_was_taken_out_by_mistake_is_put_back(
    station: Station, browser: Browser, tmp_path: Path
) -> None:
    flow = taught(station, tmp_path, "check")
    go(browser, station, ".findings img")
    click(browser, "Take out")
    browser.wait_until("[...document.querySelectorAll('button')].some(e => e.innerText === 'Put back')")
    assert flow.parts.count() == 5 and violations(browser) == []
    browser.screenshot(tmp_path / "teach-put-back.png")
    click(browser, "Put back")
    browser.wait_until("![...document.querySelectorAll('button')].some(e => e.innerText === 'Put back')")
    assert flow.parts.count() == 6 and len(flow.parts.aside()) == 0 and browser.errors == []


def test_it_is_activated_after_a_second_click_with_the_settings_that_were_looked_at(
    station: Station, browser: Browser, tmp_path: Path
) -> None:
    taught(station, tmp_path, "activate")
    go(browser, station, "#view .chart rect")
    text = browser.text("#view")
    assert "of 9 stored results it would reject 3" in text and "Of 3 made-up defects" in text
    assert browser.evaluate("document.querySelectorAll('#view details table tbody tr').length") > 5
    click(browser, "Activate")
    assert not station.teaching.told()["runs"]
    click(browser, "Activate: yes")
    browser.wait_until("document.querySelector('#view').textContent.includes('Activate goes on')")
    assert station.teaching._asked is not None and station.teaching._asked.onto == "cd" * 32
    assert browser.errors == []


TRAINED = {
    "of": "0" * 16,
    "bundle": "/nowhere/bundle",
    "sha256": "ef" * 32,
    "name": "plate",
    "preset": "nano",
    "held": [],
    "lines": ["8 of 8 defective parts are rejected", EVIL],
}


def test_a_bundle_of_its_own_is_asked_for_with_the_minutes_that_it_may_take(
    station: Station, browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "station" / "plumbline-lab").touch()
    go(browser, station, "form input[name=product]")
    hidden = "document.querySelector('[name=minutes]').closest('label').hidden"
    assert browser.evaluate(hidden)
    browser.evaluate(
        "document.querySelector('[name=product]').value = 'plate';"
        "const by = document.querySelector('[name=preset]'); by.value = 'nano';"
        "by.dispatchEvent(new Event('change'));"
        "document.querySelector('[name=minutes]').value = '60'"
    )
    assert not browser.evaluate(hidden)
    browser.screenshot(tmp_path / "teach-train.png")
    assert violations(browser) == []
    click(browser, "Begin")
    browser.wait_until("document.querySelector('#view').textContent.includes('Collect goes on')")
    state = Flow(tmp_path / "station" / "teach" / "plate").state()
    assert state is not None and (state.preset, state.minutes) == ("nano", 60.0)
    assert browser.errors == []


def test_where_the_workshop_is_not_installed_none_is_offered_and_it_is_said(
    station: Station, browser: Browser
) -> None:
    go(browser, station, "form input[name=product]")
    options = browser.evaluate("[...document.querySelectorAll('[name=preset] option')].map(e => e.value)")
    assert options == [""] and "the workshop is not installed here: no " in browser.text("#view")


def test_while_it_trains_it_is_told_how_far_it_is_and_what_remains(
    station: Station, browser: Browser, tmp_path: Path
) -> None:
    taught(station, tmp_path, "teach", preset="nano")
    with station.teaching._turn:  # its thread may look just now for what was going on
        station.teaching._doing = Doing(
            product="plate",
            who="anna",
            runs=True,
            step="teach",
            done=31,
            of=100,
            words="training the student, about 12 min left",
        )
    go(browser, station, "#view progress")
    text = browser.text("#view")
    assert "31 %: training the student, about 12 min left" in text
    assert "The workshop trains beside the line" in text and "Cancel" in text
    browser.screenshot(tmp_path / "teach-trains.png")
    assert violations(browser) == [] and browser.errors == []


def test_a_trained_bundle_is_shown_with_its_report_and_not_by_scores_of_another(
    station: Station, browser: Browser, tmp_path: Path
) -> None:
    taught(station, tmp_path, "activate", preset="nano", trained=TRAINED)
    go(browser, station, "#view .chart rect")
    text = browser.text("#view")
    assert "Trained here: plate, nano, efefefefefef" in text
    assert EVIL in browser.evaluate("document.querySelector('#view').textContent")
    assert "Scores of another bundle tell nothing of this one" in text and "stored results" not in text
    assert browser.evaluate("document.querySelector('img[src=x]')") is None
    browser.screenshot(tmp_path / "teach-trained.png")
    assert violations(browser) == [] and browser.errors == []


def test_too_few_parts_are_told_with_both_ways_out(
    station: Station, browser: Browser, tmp_path: Path
) -> None:
    taught(station, tmp_path, "activate", target=0.005)
    go(browser, station, "#view .chart rect")
    buttons = browser.evaluate("[...document.querySelectorAll('#view button')].map(e => e.textContent)")
    assert "Activate" not in buttons
    assert "Collect 139 more" in buttons and "Promise 1.64 % in place of 0.50 %" in buttons
    click(browser, "Promise 1.64 % in place of 0.50 %")
    browser.wait_until("document.querySelector('#view').textContent.includes('Threshold goes on')")
    assert browser.errors == []


def test_what_the_station_refuses_is_said_and_what_was_typed_stays(
    station: Station, browser: Browser
) -> None:
    go(browser, station, "form input[name=product]")
    browser.evaluate("document.querySelector('[name=product]').value = 'plate'")
    station.desk.commanded_ns = station.clock.monotonic_ns()
    click(browser, "Begin")
    browser.wait_until("document.querySelector('#view').textContent.includes('take the control')")
    assert browser.evaluate("document.querySelector('[name=product]').value") == "plate"
    assert station.teaching.data()["state"] is None


def test_how_long_the_parts_take_at_the_present_rate_is_said_before_it_begins(
    station: Station, browser: Browser
) -> None:
    for number in range(3):
        station.judge(number)
    go(browser, station, "form input[name=product]")
    browser.wait_until("document.querySelector('#view').textContent.includes('at the present rate')")
    told = "[...document.querySelectorAll('form [role=status]')].map(e => e.textContent).join('|')"
    before = browser.evaluate(told)
    assert "About" in before and "minute" in before
    browser.evaluate(
        "(e => { e.value = '5000'; e.dispatchEvent(new Event('input', { bubbles: true })) })"
        "(document.querySelector('[name=parts]'))"
    )
    assert browser.evaluate(told) != before
    choose = (
        "(e => {{ e.value = '{}'; e.dispatchEvent(new Event('input', {{ bubbles: true }})) }})"
        "(document.querySelector('[name=source]'))"
    )
    browser.evaluate(choose.format("archive"))
    assert "They are there already" in browser.evaluate(told)
    browser.evaluate(choose.format("passed"))
    assert "At least" in browser.evaluate(told), "some of them will not pass"
    assert browser.errors == []


@pytest.mark.parametrize("role", ["operator", "engineer"])
def test_whoever_may_not_teach_sees_how_far_it_is_and_nothing_to_press(
    station: Station, browser: Browser, tmp_path: Path, role: Role
) -> None:
    taught(station, tmp_path, "check")
    accounts = AccountsFile(tmp_path / "accounts.json")
    accounts.put("emma", role, "belt stands at noon")
    behind = station.page._sources.behind
    page = PageServer(
        station.board, Metrics(), host="127.0.0.1", port=0, behind=behind, accounts=accounts.path
    )
    page.start()
    try:
        browser.open(f"{page.url}#/teach")
        browser.wait_for("#entry")
        browser.evaluate(
            "document.getElementById('entry-name').value = 'emma';"
            "document.getElementById('entry-password').value = 'belt stands at noon';"
            "document.getElementById('entry-go').click()"
        )
        browser.wait_for(".findings img")
        shown = browser.evaluate(
            "[...document.querySelectorAll('#view button, #view form, #view input')]"
            ".filter(e => e.getClientRects().length).length"
        )
        assert (shown > 0) == (role == "engineer")
        assert ("Engineers teach." in browser.text("#view")) == (role == "operator")
        assert "looks like a defect" in browser.text("#view")
    finally:
        browser.open("about:blank")
        page.stop()


def test_a_threshold_by_rate_is_weighed_and_then_set(station: Station, browser: Browser) -> None:
    weighed = told(promise([Scored(score=score) for score in SCORES], 0.02))
    station.desk.answers["calibrate"] = {**weighed, "histogram": what_if.histogram(SCORES), "now": 0.031}
    go(browser, station, "form input[name=rate]")
    browser.evaluate("document.querySelector('[name=rate]').value = '2'")
    click(browser, "Weigh good parts")
    browser.wait_for("#view .chart rect")
    assert asked(browser, station, "calibrate") == {"false_reject_rate": 0.02, "frames": 2000}
    click(browser, "Set this threshold")
    click(browser, "Set it: yes")
    found = asked(browser, station, "threshold")
    assert found == {"threshold": weighed["threshold"], "onto": "cd" * 32}
    assert browser.errors == []
