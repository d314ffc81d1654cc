"""A bundle of its own for one's own parts, by clicking: trained beside the line, proven, and in force.

The workshop here trains nothing; `tests/e2e/test_train.py` has the real one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.bundle.bundle import MANIFEST, open_bundle, write_bundle
from agent.demo.demo import SAMPLE_BUNDLE
from tests import plain_http
from tests.agent.remote.depots import make_hand
from tests.agent.teach.workshops import LAUNCH, STEPS, FakeWorkshop
from tests.brokers import Mosquitto, eventually
from tests.browser.axe import violations
from tests.browser.browser import Browser
from tests.browser.conftest import needs_chromium
from tests.browser.test_teaching import HURRIED, Site, cells, production
from tests.e2e.agent_process import AgentProcess

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(900)]

GOOD = 60


@pytest.fixture
def workshop(tmp_path: Path) -> FakeWorkshop:
    """Makes what serves already, under another name: another bundle, which sees the same."""
    serves = open_bundle(SAMPLE_BUNDLE)
    named = serves.manifest.model_copy(update={"name": "cell"})
    files = {name: data for name, data in serves.files.items() if name in named.files}
    assert MANIFEST not in files
    write_bundle(tmp_path / "made", named, files, None)
    return FakeWorkshop(tmp_path / "lab", tmp_path / "made")


@pytest.fixture
def site(tmp_path: Path, mosquitto: Mosquitto, workshop: FakeWorkshop) -> Iterator[Site]:
    parts = tmp_path / "parts"
    parts.mkdir()
    entry = f"""
import os, sys
from functools import partial
from pathlib import Path
from agent.remote.proof import prover
from agent.teach import own, station, workshop
station.NICENESS = os.nice(0)  # as low as the agent: what judges waits for nobody else on this machine
run = partial(workshop.train, launch={LAUNCH!r}, grace_s=2.0)
proves = "import sys; from agent.remote.proof.work import main; main(int(sys.argv[2]))"
command = (sys.executable, "-c", proves)
prover.Prover.__init__.__kwdefaults__.update(command=command)
own.OwnBundles.__init__.__kwdefaults__.update(find=lambda: Path({str(workshop.program)!r}), run=run)
{HURRIED}"""
    agent = AgentProcess(tmp_path, broker_port=mosquitto.port, cells=0, entry=entry)
    make_hand(tmp_path / "bundles").install(SAMPLE_BUNDLE)
    agent.settings["bundle"] = str(tmp_path / "bundles" / "current")
    camera = {"name": "top", "source": {"kind": "folder", "path": str(parts), "watch": True}}
    agent.settings["cameras"] = [camera]
    before = 1.02 * open_bundle(SAMPLE_BUNDLE).manifest.threshold.raw
    agent.settings["judge"] = {"threshold": before}  # set for the bundle before
    probation = {"verdicts": 5, "seconds": 2.0}
    agent.settings["remote"] = {"probation": probation}
    agent.start()
    site = Site(agent, parts)
    eventually(site.is_up, "the page answers")
    yield site
    agent.kill()


def test_a_bundle_of_ones_own_parts_is_trained_cut_gone_on_with_and_in_force_by_clicking(
    site: Site, browser: Browser, workshop: FakeWorkshop, tmp_path: Path
) -> None:
    workshop.cue(waits_at=7)
    browser.open(site.url)
    browser.wait_for("nav a[aria-current]")
    site.click(browser, "Teach")
    site.click(browser, "Product")
    site.type(browser, "cell")
    browser.evaluate(
        f"document.querySelector('[name=parts]').value = '{GOOD}';"
        "document.querySelector('[name=target]').value = '0.02';"
        "document.querySelector('[name=preset]').value = 'nano'"
    )
    site.click(browser, "Begin")
    text = "document.querySelector('#view').textContent"
    good = cells("train/good")
    with production(site, good):
        browser.wait_until(f"{text}.includes('Check goes on')", timeout_s=300)
    browser.wait_until(
        f"!document.querySelector('.findings').hidden || {text}.includes('35 %')", timeout_s=400
    )
    if site.view()["state"]["step"] == "check":
        count = len(site.view()["state"]["checked"]["findings"])
        site.click(browser, f"Keep these {count}" if count > 1 else "Keep")
        browser.wait_until("document.querySelector('.findings').hidden")
        site.click(browser, "Go on")
    browser.wait_until(f"{text}.includes('35 %: training the student')", timeout_s=120)
    browser.screenshot(tmp_path / "1-trains.png")
    assert violations(browser) == []
    site.click(browser, "Cancel")
    eventually(site.rests, "it is cancelled", 60)
    assert not workshop.is_running()
    workshop.cue()
    site.click(browser, "Go on")
    buttons = "[...document.querySelectorAll('#view button')]"
    promise = f"{buttons}.find(e => e.textContent.startsWith('Promise'))"
    activate = f"{buttons}.some(e => e.textContent === 'Activate')"
    browser.wait_until(f"{activate} || !!{promise}", timeout_s=400)
    if browser.evaluate(f"!!{promise}"):
        browser.evaluate(f"{promise}.click()")
        browser.wait_until(activate, timeout_s=100)
    browser.screenshot(tmp_path / "2-activate.png")
    assert violations(browser) == []
    site.click(browser, "Activate")
    site.click(browser, "Activate: yes")
    more = itertools.cycle(good)

    def is_applied() -> bool:
        """Parts come for probations; none while it is proven, which gives way to them."""
        if "proving" not in site.view()["doing"]["words"]:
            site.show(next(more))
        return bool(browser.evaluate(f"{text}.includes('is applied')"))

    eventually(is_applied, "the trained bundle judges by its own threshold", 500)
    browser.screenshot(tmp_path / "3-done.png")
    assert workshop.began == [0, 7] and STEPS > 7
    view = site.view()
    made = open_bundle(tmp_path / "made").sha256
    assert view["in_force"]["bundle"] == made and view["state"]["step"] == "done"
    assert (tmp_path / "bundles" / "current").resolve().name == made
    changes = plain_http.get(f"{site.url}api/views/changes").json()["changes"]
    assert {"teach_begin", "teach_cancel", "threshold"} <= {one["what"] for one in changes}
    assert browser.errors == []
