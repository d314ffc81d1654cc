"""A region drawn on a reject is in force once it was tried: a defect in it passes, until it is undone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.demo.cells import load_cells
from agent.demo.demo import choose_cells
from tests import plain_http
from tests.brokers import Mosquitto, eventually
from tests.browser.browser import Browser
from tests.browser.conftest import needs_chromium
from tests.browser.test_commanding import click
from tests.e2e.agent_process import AgentProcess

pytestmark = [needs_chromium, pytest.mark.slow]

REJECTED, GOOD = 265, (3, 4, 7)  # of the demo's cells; the first is rejected for one small place
LONG_S = 240.0
MARGIN_PX = 24


class Line:
    """A running agent whose camera sees some cells again and again."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        self.agent = AgentProcess(folder, broker_port=broker.port, cells=0)
        cells = choose_cells(load_cells())
        for number in (REJECTED, *GOOD):
            shutil.copyfile(cells[number].image, folder / "frames" / f"{number:03}.png")
        source = {"kind": "folder", "path": str(folder / "frames"), "rate_hz": 2.0, "repeat": True}
        self.agent.settings["cameras"] = [{"name": "top", "source": source}]
        self.agent.settings["archive"] = {"folder": str(folder / "archive"), "pass_share": 1.0}
        self.url = f"http://127.0.0.1:{self.agent.page_port}/"

    def view(self, name: str, **query: str) -> Any:
        return plain_http.get(f"{self.url}api/views/{name}", params=query, timeout=60).json()

    def latest(self) -> dict[str, Any] | None:
        """Of the part with the defect."""
        try:
            results = self.view("live")["results"]
        except httpx.TransportError:
            return None
        return next((one for one in results if one["part_id"] == f"{REJECTED:03}"), None)

    def is_decided(self, verdict: str) -> bool:
        found = self.latest()
        return found is not None and found["verdict"] == verdict


@pytest.fixture
def line(tmp_path: Path, mosquitto: Mosquitto, browser: Browser) -> Iterator[Line]:
    line = Line(tmp_path, mosquitto)
    line.agent.start()
    yield line
    browser.open("about:blank")
    line.agent.kill()


def type_in(browser: Browser, box: list[int]) -> None:
    """A region round a defect, by keyboard: focus, select, type."""
    x, y, width, height = box
    sides = (max(0, x - MARGIN_PX), max(0, y - MARGIN_PX), width + 2 * MARGIN_PX, height + 2 * MARGIN_PX)
    for number, side in enumerate(sides):
        fields = "document.querySelectorAll('input[type=number]')"
        browser.evaluate(f"{fields}[{number}].focus(); {fields}[{number}].select()")
        browser.command("Input.insertText", text=str(side))


def test_a_defect_in_a_region_that_was_drawn_passes_until_the_settings_go_back(
    line: Line, browser: Browser
) -> None:
    eventually(lambda: line.is_decided("fail"), "the defect is rejected", LONG_S)
    rejected = line.latest()
    assert rejected is not None and len(rejected["boxes"]) == 1, rejected
    browser.open(f"{line.url}#/result/{rejected['id']}")
    browser.wait_for(".stage img")
    click(browser, "Ignore a region …")
    type_in(browser, rejected["boxes"][0])
    assert browser.evaluate("document.querySelectorAll('.drawing polygon').length") == 1
    click(browser, "Ignore this region from now on")
    browser.wait_until("document.querySelector('#view').textContent.includes('is part of the recipe once')")

    eventually(lambda: line.is_decided("pass"), "a defect in the region passes", LONG_S)
    passed = line.latest()
    assert passed is not None
    told = line.view("result", id=passed["id"])
    assert told["score"] < 100 and told["defects"] == []
    change = line.view("changes")["changes"][0]
    assert (change["who"], change["what"]) == ("this machine", "ignore")

    browser.open("about:blank")
    browser.open(f"{line.url}#/model")
    browser.wait_until(
        "[...document.querySelectorAll('#view button')].some(e => e.textContent === 'Go back')"
    )
    assert "recipes" in browser.text("[aria-label=Settings]")
    click(browser, "Go back")
    click(browser, "Go back: yes")
    eventually(lambda: line.is_decided("fail"), "without the region it is rejected again", LONG_S)
    assert line.agent.stop() == 0
