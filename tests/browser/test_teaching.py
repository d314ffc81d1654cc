"""From an empty station to the first reject of one's own parts, by clicking."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from agent.cameras.images import read_image
from agent.demo.cells import load_cells
from agent.page.sessions.gate import OWN_HEADER
from tests import plain_http
from tests.brokers import Mosquitto, eventually
from tests.browser.axe import violations
from tests.browser.browser import Browser
from tests.browser.conftest import needs_chromium
from tests.e2e.agent_process import ENTRY, AgentProcess

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(900)]

MOST_CLICKS = 12
GOOD = 60
EVERY_S = 0.5  # two of a minute are taken, which is three seconds here
HURRY = 20  # seconds of the station's clock in one of ours: good parts come from five minutes
HURRIED = f"""
import sys
from datetime import datetime, timezone
from agent.clock import SystemClock
BEGAN = datetime.now(timezone.utc)
SystemClock.utc_now = lambda self: BEGAN + {HURRY} * (datetime.now(timezone.utc) - BEGAN)
# Without its low priority, by which it waits for as long as anybody computes on this machine.
from agent.teach import steps
from functools import partial
command = (sys.executable, "-c", "from agent.teach.work import main; main()")
steps.teach_apart = partial(steps.teach_apart, command=command)
{ENTRY}"""


@dataclass
class Site:
    """An agent with settings that were just written, and a camera before which parts can be put."""

    agent: AgentProcess
    parts: Path
    put: int = 0
    clicks: int = 0
    keys: int = 0
    begun_s: float = field(default_factory=time.monotonic)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.agent.page_port}/"

    def show(self, picture: np.ndarray[Any, Any]) -> None:
        """To the camera, whole."""
        unfinished = self.parts / ".part.tmp"
        unfinished.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        unfinished.rename(self.parts / f"part{self.put:04}.png")
        self.put += 1

    def is_up(self) -> bool:
        try:
            return plain_http.get(f"{self.url}api/views/now").status_code == 200
        except httpx.TransportError:
            return False

    def act(self, name: str, **body: Any) -> httpx.Response:
        """To its end."""
        answer = plain_http.post(
            f"{self.url}api/acts/{name}", json=body, headers={OWN_HEADER: "1"}, timeout=60
        )
        while answer.status_code == 202:
            job = answer.json()["job"]
            answer = plain_http.get(f"{self.url}api/jobs/{job}", timeout=60)
        return answer

    def view(self) -> Any:
        return plain_http.get(f"{self.url}api/views/teach", timeout=60).json()

    def rests(self) -> bool:
        return not self.view()["doing"]["runs"]

    def click(self, browser: Browser, words: str) -> None:
        """With the mouse, on what people see: a button, a link, a field by its label."""
        found = f"""(() => {{
          const shown = [...document.querySelectorAll('button, nav a, label, summary')]
            .filter(e => e.offsetParent);
          const says = (e, how) => e.textContent.trim()[how]({words!r});
          const it = shown.find(e => e.textContent.trim() === {words!r})
            ?? shown.find(e => says(e, 'startsWith'));
          if (!it || it.disabled) return null;
          const one = it.querySelector?.('input') ?? it;
          one.scrollIntoView({{ block: 'center' }});
          const r = one.getBoundingClientRect();
          return [r.x + r.width / 2, r.y + r.height / 2];
        }})()"""
        x, y = browser.wait_until(found)
        for kind in ("mousePressed", "mouseReleased"):
            browser.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.clicks += 1

    def type(self, browser: Browser, text: str) -> None:
        for letter in text:
            browser.press(letter, ord(letter.upper()), letter)
            self.keys += 1


def cells(split: str) -> list[np.ndarray[Any, Any]]:
    """In no order: as they were cut from modules, neighbours are alike."""
    found = [one.image for one in load_cells() if one.split == split and one.kind == "mono"]
    drawn = np.random.default_rng(1).permutation(len(found))[:100]
    return [read_image(found[number])[..., 0] for number in drawn]


@pytest.fixture
def site(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Site]:
    parts = tmp_path / "parts"
    parts.mkdir()
    agent = AgentProcess(tmp_path, broker_port=mosquitto.port, cells=0, entry=HURRIED)
    camera = {"name": "top", "source": {"kind": "folder", "path": str(parts), "watch": True}}
    agent.settings["cameras"] = [camera]
    agent.settings["archive"] = {"folder": str(tmp_path / "archive"), "pass_share": 1.0, "min_free_bytes": 0}
    agent.start()
    site = Site(agent, parts)
    eventually(site.is_up, "the page answers")
    yield site
    agent.kill()
    shutil.rmtree(tmp_path / "archive", ignore_errors=True)


@contextmanager
def production(site: Site, pictures: list[np.ndarray[Any, Any]]) -> Iterator[None]:
    """Parts come by for as long as somebody looks; the next one once the last was taken, or not in time."""
    ended = threading.Event()

    def run() -> None:
        for picture in pictures:
            taken = site.view().get("parts", 0)
            site.show(picture)
            for _ in range(10):
                if ended.wait(EVERY_S):
                    return
                if site.view().get("parts", 0) > taken:
                    break

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_from_an_empty_station_to_the_first_reject_of_own_parts_by_clicking(
    site: Site, browser: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = cells("train/good"), cells("test/defective")
    shown = [*good]  # more than are wanted: the sample model rejects some
    for number in (7, 30):
        shown[number] = cv2.GaussianBlur(shown[number], (0, 0), 6)
        shown[number + 2] = shown[number + 1]
    browser.open(site.url)
    browser.wait_for("nav a[aria-current]")
    site.begun_s = time.monotonic()
    site.click(browser, "Teach")
    site.click(browser, "Product")
    site.type(browser, "cell")
    browser.evaluate(
        f"document.querySelector('[name=parts]').value = '{GOOD}';"
        "document.querySelector('[name=target]').value = '0.02'"
    )
    browser.screenshot(tmp_path / "1-begin.png")
    site.click(browser, "Begin")
    with production(site, shown):
        browser.wait_until("document.querySelector('#view').textContent.includes('Collect goes on')")
        browser.wait_until("document.querySelectorAll('#view .film img').length > 5", timeout_s=240)
        browser.screenshot(tmp_path / "2-collect.png")
        assert violations(browser) == []
        browser.wait_for(".findings img", timeout_s=600)
    browser.wait_for_pictures()
    browser.screenshot(tmp_path / "3-check.png")
    assert violations(browser) == []
    kinds = [one["kind"] for one in site.view()["state"]["checked"]["findings"]]
    assert {"blurred", "double"} <= {*kinds}
    site.click(browser, f"Take these {len(kinds)} out")
    browser.wait_until("document.querySelector('.findings').hidden")
    site.click(browser, "Go on")
    buttons = "[...document.querySelectorAll('#view button')]"
    activate = f"{buttons}.some(e => e.textContent === 'Activate')"
    promise = f"{buttons}.some(e => e.textContent.startsWith('Promise'))"
    browser.wait_until(f"{activate} || {promise}", timeout_s=600)
    if browser.evaluate(promise):  # by chance parts of one minute were so alike that 54 are worth under 49
        site.click(browser, "Promise")
        browser.wait_until(activate, timeout_s=240)
    browser.screenshot(tmp_path / "4-activate.png")
    assert violations(browser) == []
    site.click(browser, "Activate")
    site.click(browser, "Activate: yes")
    browser.wait_until("document.querySelector('#view').textContent.includes('is applied')", timeout_s=240)
    browser.screenshot(tmp_path / "5-done.png")
    defective = [f"part{site.put + number:04}" for number in range(12)]
    for picture in bad[:12]:
        site.show(picture)
    site.click(browser, "Rejects")
    browser.wait_until(
        f"{defective}.some(one => document.querySelector('.wall')?.textContent.includes(one))", timeout_s=240
    )
    taken_s = time.monotonic() - site.begun_s
    browser.wait_for_pictures()
    browser.screenshot(tmp_path / "6-rejects.png")
    assert site.clicks <= MOST_CLICKS
    assert browser.errors == []
    changes = plain_http.get(f"{site.url}api/views/changes").json()["changes"]
    assert {"teach_begin", "teach_sort", "threshold"} <= {one["what"] for one in changes}
    with capsys.disabled():
        print(
            f"\n{site.clicks} clicks and {site.keys} keys; {taken_s:.0f} s, most of it waiting for parts and "
            f"the check: {GOOD} parts, {len(kinds)} taken out"
        )


def test_an_agent_that_is_killed_while_it_looks_at_parts_goes_on_when_it_starts_again(site: Site) -> None:
    answer = site.act("teach_begin", product="cell", source="camera", camera="top", parts=12, target=0.1)
    assert answer.status_code == 200, answer.text
    busy = site.act("teach_begin", product="other", source="camera", parts=12, target=0.1)
    assert (busy.status_code, "teaches cell now" in busy.text) == (429, True)
    assert site.act("teach_begin", product="../x", source="camera", parts=1, target=0.1).status_code == 422
    with production(site, cells("train/good")):
        eventually(lambda: site.view()["doing"]["step"] == "check", "the parts are looked at", 300)
    site.agent.kill()
    folder = site.parts.parent / "teach" / "cell"
    assert len(list((folder / "parts").glob("*.png"))) == 12
    site.agent.start()
    eventually(site.is_up, "the page answers")
    eventually(lambda: site.view()["doing"]["product"] == "cell", "it knows what it was doing", 60)
    eventually(site.rests, "it went on by itself", 300)
    told = site.view()
    assert told["doing"]["problem"] == "" and told["state"]["step"] in ("check", "activate")
    assert told["parts"] == 12 and told["state"]["checked"]["pictures"] == 12
