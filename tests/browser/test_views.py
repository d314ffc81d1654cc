"""Every view, in every width and colour, by keyboard, and with names that would like to be markup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from agent.messages import VerdictName
from agent.page.assets import OF_VIEWS
from agent.page.sources import Json
from agent.parts.counts import PartCounts
from agent.parts.verdict import verdict_of
from agent.parts.view import Decided
from agent.remote.settings.store import Snapshot
from agent.settings.settings import Settings
from tests.agent.page.station import Station
from tests.agent.parts.views import MADE, rule
from tests.agent.parts.views import view as view_of_part
from tests.agent.status.samples import part
from tests.browser.browser import Browser
from tests.browser.conftest import needs_chromium
from tests.browser.sound import WIDTHS, require_sound

pytestmark = needs_chromium

READY = {  # by view, what shows that it is drawn; of one that has no row here: anything
    "live": ".sign svg",
    "rejects": ".wall li img",
    "result": ".stage img",
    "trends": ".chart rect",
    "cameras": ".aged img",
    "uplink": "#broker",
    "model": ".panel dd",
    "doctor": "button[type=submit]",
}
VIEWS = OF_VIEWS  # all there are, also those of tomorrow


def fill(station: Station, part_id: str | None = None) -> str:
    """The id of a reject."""
    for number in range(12):
        station.judge(number, "fail" if number % 4 == 3 else "pass", part_id=part_id)
    station.judge(12, "undecided", reason="no_evidence", part_id=part_id)
    station.board.link_state("connected")
    for number in range(3):
        settings = Snapshot(
            data={"judge": {"threshold": number / 100}},
            local={},
            source="local",
            since="2026-01-01T00:00:00Z",
        )
        station.history.kept.append((f"{number:064x}", settings))
    station.changes.note(who="anna", way="page", what="threshold", wanted={"threshold": 0.02})
    station.parts = part_rules()
    return "0192-top-11"


def part_rules() -> list[Json]:
    """One that has told of a part whose second view is missing, and one that has told of none."""
    rules = [rule("part_id", cameras=("top", "side")), rule("encoder", cameras=("top", "back"))]
    counts = PartCounts([rules[0], replace(rules[1], name="lid")])
    seen = view_of_part("top", result_id="0192-top-11", part_id="P-7")
    made = verdict_of(rules[0], Decided(key="P-7", views=(seen,), missing=("side",)), MADE)
    counts.decided(made, None)
    counts.committed(made, 0)
    return counts.shown()


def go(browser: Browser, station: Station, view: str, reject: str) -> None:
    browser.open("about:blank")
    path = f"result/{quote(reject)}" if view == "result" else view
    browser.open(f"{station.page.url}#/{path}")
    browser.wait_for(READY.get(view, "#view > div > *"))
    browser.wait_for_pictures()


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_sound_in_every_width_and_colour(
    station: Station, browser: Browser, tmp_path: Path, view: str
) -> None:
    reject = fill(station)
    require_sound(browser, tmp_path, view, lambda: go(browser, station, view, reject))


def test_a_part_of_several_cameras_says_which_view_is_missing(station: Station, browser: Browser) -> None:
    go(browser, station, "live", fill(station))
    browser.wait_for('section[aria-label="Parts of housing"] a[href="#/result/0192-top-11"]')
    words = browser.text('section[aria-label="Parts"]')
    for one in (
        "0 good, 0 rejected, 1 unknown",
        "part P-7",
        "no view of side came in time: within 1 s",
        "side: no view",
        "No part was decided since start.",
    ):
        assert one in words
    assert browser.errors == []


def test_a_camera_says_in_words_what_the_gate_behind_it_has_done(station: Station, browser: Browser) -> None:
    go(browser, station, "cameras", fill(station))
    words = browser.text("#view")
    for one in (
        "Output reject: its gate does not answer",
        "Modbus 10.0.0.9:502 did not answer within 0.5 s",
        "1.4 ms in the middle",
        "Good, and rejected with a neighbour",
        "Missed: the gate did not answer",
        "240",
    ):
        assert one in words
    assert browser.errors == []


@pytest.mark.parametrize("on_board", [True, False])
def test_a_card_shows_the_boxes_of_its_defects_where_they_are_on_the_picture(
    station: Station, browser: Browser, on_board: bool
) -> None:
    """Of one that the board still has, and of one that is in the archive alone."""
    seen = station.judge(7, "fail", on_board=on_board)
    go(browser, station, "rejects", seen.result_id)
    browser.wait_for(".wall .boxes rect")
    drawn = browser.evaluate(
        "(() => { const at = document.querySelector('.wall .boxes').getBoundingClientRect();"
        " const of = document.querySelector('.wall img').getBoundingClientRect();"
        " const box = document.querySelector('.wall .boxes rect:not(.edge)').getBoundingClientRect();"
        " const side = Math.min(of.width, of.height);"
        " const [left, top] = [of.left + (of.width - side) / 2, of.top + (of.height - side) / 2];"
        " return [at.width - of.width, (box.left + box.width / 2 - left) / side * 300,"
        " (box.top + box.height / 2 - top) / side * 300] })()"
    )
    x, y, width, height = seen.defects[0].bbox_px
    assert drawn == pytest.approx((0, x + width / 2, y + height / 2), abs=3)
    assert "1 defect" in browser.evaluate("document.querySelector('.wall a').getAttribute('aria-label')")
    assert browser.errors == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "no label set names defects of this recipe"),
        ({"labels_sha256": "ab" * 32}, "not asked for"),
        ({"labels_sha256": "ab" * 32, "label": "unknown"}, "like none of the labelled defects"),
        ({"labels_sha256": "ab" * 32, "label_reason": "late"}, "not named in time"),
    ],
)
def test_why_a_defect_has_no_label_is_said_in_words(
    station: Station, browser: Browser, said: dict[str, str], words: str
) -> None:
    of_model = {name: value for name, value in said.items() if name == "labels_sha256"}
    of_defect = {name: value for name, value in said.items() if name != "labels_sha256"}
    record = station.judge(7, "fail", on_board=False, kept=False)
    record = record.model_copy(
        update={
            "model": record.model.model_copy(update=of_model),
            "defects": tuple(one.model_copy(update=of_defect) for one in record.defects),
        }
    )
    station.board.judged(record, part(7).image)
    go(browser, station, "result", record.result_id)
    assert words in browser.text("#view table")
    assert browser.errors == []


@pytest.mark.parametrize("view", ["live", "rejects", "result"])
def test_names_of_other_people_are_text_and_run_nothing(
    station: Station, browser: Browser, view: str
) -> None:
    evil = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
    reject = fill(station, part_id=evil)
    go(browser, station, view, reject)
    assert evil in browser.text("main")
    assert browser.evaluate("document.querySelector('img[src=x], main script')") is None
    assert "owned" not in browser.evaluate("document.title")
    assert browser.errors == []


def test_a_reject_is_found_looked_into_and_left_with_the_keyboard_alone(
    station: Station, browser: Browser
) -> None:
    reject = fill(station)
    go(browser, station, "rejects", reject)
    browser.evaluate("document.querySelector('.wall a').focus()")
    browser.press("Enter", 13, "\r")
    browser.wait_for(".stage img")
    assert browser.evaluate("document.activeElement.id") == "title"
    for _ in range(20):
        browser.press("Tab", 9)
        if browser.evaluate("document.activeElement.className").startswith("stage"):
            break
    scale = "new DOMMatrix(getComputedStyle(document.querySelector('.sheet')).transform).a"
    browser.press("+", 187, "+")
    browser.press("+", 187, "+")
    assert browser.evaluate(scale) == pytest.approx(2.25)
    moved = "new DOMMatrix(getComputedStyle(document.querySelector('.sheet')).transform).e"
    before = browser.evaluate(moved)
    browser.press("ArrowRight", 39)
    assert browser.evaluate(moved) < before
    browser.wait_until("document.querySelector('.sheet img').src.endsWith('pixels.png')")
    browser.evaluate("history.back()")
    browser.wait_for(".wall li img")
    assert browser.errors == []


USABLE = "a[href], button, input, select, textarea, summary, [tabindex='0']"
SEEN_NOW = f"""(() => {{
  const here = document.activeElement;
  if (here === document.body) return null;
  here.dataset.reached = '1';
  const area = here.getBoundingClientRect();
  const look = getComputedStyle(here);
  const [x, y] = [area.left + area.width / 2, area.top + area.height / 2];
  const top = document.elementFromPoint(Math.min(Math.max(x, area.left + 1), innerWidth - 1), y);
  return {{
    what: here.outerHTML.slice(0, 200),
    shown: look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 2,
    covered: !(top && (here.contains(top) || top.contains(here) || here.closest('label')?.contains(top))),
    left: [...document.querySelectorAll("{USABLE}")].filter(e => e.getClientRects().length && !e.disabled
      && !e.closest('details:not([open]) > :not(summary)') && !e.dataset.reached)
      .map(e => e.outerHTML.slice(0, 120)),
  }};
}})()"""


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_all_of_a_view_is_reached_and_seen_with_the_keyboard_alone(
    station: Station, browser: Browser, view: str
) -> None:
    reject = fill(station)
    for width in WIDTHS:
        browser.resize(width, 900)
        go(browser, station, view, reject)
        count = browser.evaluate(f'document.querySelectorAll("{USABLE}").length')
        left = None
        for _ in range(count + 10):
            browser.press("Tab", 9)
            now = browser.evaluate(SEEN_NOW)
            if now is None:
                continue
            assert now["shown"], f"{width}: nobody sees where the focus is: {now['what']}"
            assert not now["covered"], f"{width}: what has the focus is covered: {now['what']}"
            left = now["left"]
            if not left:
                break
        assert left == [], f"{width}: never reached"
    assert browser.errors == []


def test_one_result_shows_its_pictures_over_each_other_and_says_why(
    station: Station, browser: Browser
) -> None:
    go(browser, station, "result", fill(station))
    text = browser.text("#view")
    for words in ("Rejected", "times the threshold", "differs from its restoration", "Digest of the pixels"):
        assert words in text
    assert browser.evaluate("document.querySelectorAll('.chart polyline.over').length") == 2
    browser.evaluate(
        "document.querySelector('[type=range]').value = 60;"
        "document.querySelector('[type=range]').dispatchEvent(new Event('input'))"
    )
    browser.wait_until("[...document.querySelectorAll('.sheet img')].filter(e => !e.hidden).length === 2")
    browser.wait_for_pictures()
    button = "[...document.querySelectorAll('button')].find(e => e.innerText === '{}')"
    browser.evaluate(f"{button.format('Restoration')}.click()")
    browser.wait_until("document.querySelector('.sheet img').src.endsWith('restored.jpg')")
    browser.evaluate(f"{button.format('Decide it again')}.click()")
    browser.wait_until("document.querySelector('#view').innerText.includes('The decision was reproduced.')")
    assert station.replayed == ["0192-top-11"]


def test_a_region_is_drawn_on_the_picture_and_becomes_part_of_the_recipe(
    station: Station, browser: Browser
) -> None:
    go(browser, station, "result", fill(station))
    button = "[...document.querySelectorAll('button')].find(e => e.innerText.startsWith('{}'))"
    assert "drag a rectangle over the picture, or type" in browser.text("#view"), "before the first try"
    browser.evaluate(f"{button.format('Ignore a region')}.click()")
    browser.evaluate("document.querySelector('.stage').scrollIntoView({block: 'center'})")
    area = browser.evaluate(
        "(() => { const r = document.querySelector('.stage').getBoundingClientRect();"
        " return [r.left, r.top, r.width, r.height] })()"
    )
    left, top, width, height = area

    def mouse(kind: str, x: float, y: float) -> None:
        place = {"x": left + width * x, "y": top + height * y}
        browser.command(
            "Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **place
        )

    mouse("mousePressed", 0.2, 0.3)
    mouse("mouseMoved", 0.4, 0.6)
    mouse("mouseReleased", 0.4, 0.6)
    browser.evaluate(f"{button.format('Ignore this region')}.click()")
    browser.wait_until("document.querySelector('#view').innerText.includes('is part of the recipe once')")
    ((patch, who),) = station.proposed
    wanted = Settings.model_validate({**station.settings.model_dump(mode="json"), **patch})
    corners = wanted.recipes[0].cameras[0].ignore[0].corners
    assert corners[0] == pytest.approx((60, 90), abs=2)
    assert corners[2] == pytest.approx((120, 180), abs=2)
    assert who


def test_a_result_that_is_gone_is_said_in_its_place(station: Station, browser: Browser) -> None:
    browser.open(f"{station.page.url}#/result/nothing")
    browser.wait_for("#view-fault")
    browser.wait_until("document.querySelector('#view-fault').innerText.includes('no longer kept')")


def test_an_address_that_names_no_view_shows_the_first(station: Station, browser: Browser) -> None:
    fill(station)
    browser.open(f"{station.page.url}#/../etc/<b>")
    browser.wait_for(".sign svg")
    assert browser.errors == []


RAW = r"\\b(null|undefined|NaN|Infinity|\\[object)\\b"
SEEN = (
    "[document.body.innerText, ...[...document.querySelectorAll('main *')].flatMap(e =>"
    " [...e.attributes].map(a => a.value))].filter(t => new RegExp('" + RAW + "').test(t))"
)


@pytest.mark.parametrize(
    ("name", "on_board"),
    [
        *((name, where) for name in ("pass", "fail", "undecided") for where in (True, False)),
        ("skipped", True),
    ],
)
def test_no_value_that_is_missing_is_shown_as_a_word_of_the_program(
    station: Station, browser: Browser, name: VerdictName, on_board: bool
) -> None:
    """Of a result with as little as there can be of it, and of one that was decided again."""
    reason = {"undecided": "no_evidence", "skipped": "overload"}.get(name)
    for number in range(3):
        station.judge(number, name, on_board=on_board, kept=name != "skipped", reason=reason)
    browser.open(f"{station.page.url}#/result/0192-top-2")
    browser.wait_for("#view section")
    assert browser.evaluate(SEEN) == []
    browser.evaluate("document.querySelectorAll('summary').forEach(e => e.click())")
    browser.evaluate(
        "[...document.querySelectorAll('button')].find(e => e.innerText === 'Decide it again')?.click()"
    )
    busy = "button:disabled:not([aria-keyshortcuts])"  # no mark of it is there to be undone
    browser.wait_until(f'!document.querySelector("{busy}")')
    assert browser.evaluate(SEEN) == []
    assert "undefined" not in str(browser.errors)
