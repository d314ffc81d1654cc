"""The evidence of one result by kind: asked for at a button, told in words, bars and lines with tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.page.station import Station
from tests.browser.axe import violations
from tests.browser.browser import Browser
from tests.browser.conftest import needs_chromium
from tests.browser.sound import looks
from tests.browser.test_views import fill, go

pytestmark = needs_chromium

PANEL = "section[aria-label='Evidence by kind']"
IN_PANEL = f'document.querySelector("{PANEL}")'


def explained(browser: Browser, station: Station) -> None:
    go(browser, station, "result", fill(station))
    browser.evaluate(f"{IN_PANEL}.querySelector('button').click()")
    browser.wait_until(f"{IN_PANEL}.querySelectorAll('svg.chart').length === 2")


def choose(browser: Browser, label: str, option: str) -> None:
    """As a person does it: the option by its words."""
    browser.evaluate(
        f"(() => {{ const select = [...{IN_PANEL}.querySelectorAll('label')]"
        f".find(e => e.innerText.startsWith('{label}')).querySelector('select');"
        f" select.value = [...select.options].find(e => e.text.startsWith('{option}')).value;"
        " select.dispatchEvent(new Event('change')); })()"
    )


def test_a_result_is_explained_when_somebody_asks_and_not_before(station: Station, browser: Browser) -> None:
    go(browser, station, "result", fill(station))
    assert "Differs from good parts" not in browser.text(PANEL)
    browser.evaluate(f"{IN_PANEL}.querySelector('button').click()")
    browser.wait_until(f"{IN_PANEL}.querySelectorAll('svg.chart').length === 2")
    text = browser.text(PANEL)
    assert "Differs from good parts mostly in texture at stride 8, by 9.2 spreads" in text
    assert "120 of those that bundle elpv was calibrated with" in text and "3 weaker defects" in text
    rows = browser.evaluate(f"{IN_PANEL}.querySelectorAll('tbody')[0].rows.length")
    assert rows == 9
    assert "texture at stride 8 from left to right, at y 80" in text
    assert browser.errors == []


def test_another_defect_and_another_kind_are_chosen(station: Station, browser: Browser) -> None:
    explained(browser, station)
    choose(browser, "Evidence of", "defect 2")
    assert "mostly in brightness, by 6.1 spreads" in browser.text(PANEL)
    choose(browser, "Profile", "all of it together")
    assert "the line is at 100 % of the threshold" in browser.text(PANEL)
    label = browser.evaluate(f"{IN_PANEL}.querySelector('svg.chart').getAttribute('aria-label')")
    assert label.startswith("All evidence from left to right") and label.endswith("% of the threshold")


def test_a_bundle_that_cannot_explain_is_said_in_words(station: Station, browser: Browser) -> None:
    station.replay_fails = True
    go(browser, station, "result", fill(station))
    browser.evaluate(f"{IN_PANEL}.querySelector('button').click()")
    browser.wait_until(f"{IN_PANEL}.innerText.includes('cannot explain its scores')")
    assert browser.evaluate(f"{IN_PANEL}.querySelector('button').disabled") is False


@pytest.mark.slow
def test_it_is_sound_in_every_width_and_colour(station: Station, browser: Browser, tmp_path: Path) -> None:
    for width, look in looks(browser, lambda: explained(browser, station)):
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), (width, look)
        assert violations(browser) == [], (width, look)
        browser.evaluate(f"{IN_PANEL}.scrollIntoView()")
        browser.screenshot(tmp_path / f"evidence-{width}-{look}.png")
    assert browser.errors == []
