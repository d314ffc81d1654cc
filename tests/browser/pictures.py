"""The pictures of the page in the documents, made anew: `python -m tests.browser.pictures`.

A station of its own judges solar cells of the sample set (elpv-dataset) with the bundle that ships, and a
real Chromium looks at it. Look at each picture before it goes into the documents; changed views need others.
"""

from __future__ import annotations

import base64
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from tests import plain_http
from tests.brokers import Mosquitto, Subscriber, eventually
from tests.browser.browser import Browser, find_chromium
from tests.e2e.agent_process import AgentProcess

FOLDER = Path(__file__).parent
LINE_RATE_HZ = 300.0  # a cell each second, which a machine with other work does, too
CELLS, REJECTS = 120, 21  # three rows
QUALITY = 82
LONG_S = 600.0


def main() -> None:
    chromium = find_chromium()
    if chromium is None:
        sys.exit("no Chromium on this machine; `make test` installs it")
    with tempfile.TemporaryDirectory(prefix="pictures-") as place:
        folder = Path(place)
        broker = Mosquitto(folder / "mosquitto")
        broker.start()
        mes = Subscriber(broker.port, "plumbline/v1/#")
        mes.start()
        agent = AgentProcess(
            folder, broker_port=broker.port, station="demo-top", cells=CELLS, line_rate_hz=LINE_RATE_HZ
        )
        source = agent.settings["cameras"][0]["source"]  # type: ignore[index]
        del source["lose_every_blocks"], source["lose_lines"]
        agent.settings["archive"] = {"folder": str(folder / "archive"), "min_free_bytes": 0}
        agent.start()
        try:
            with Browser(chromium, folder / "browser") as browser:
                take(browser, f"http://127.0.0.1:{agent.page_port}/")
        finally:
            agent.kill()
            mes.stop()
            broker.stop()


def take(browser: Browser, url: str) -> None:
    eventually(lambda: len(rejected(url)) >= REJECTS, "there is something to be seen", LONG_S)
    live(browser, url)
    rejects(browser, url)
    result(browser, url)
    if browser.errors:
        sys.exit(f"the page had errors: {browser.errors}")


def live(browser: Browser, url: str) -> None:
    """In the moment of a reject."""
    browser.resize(1280, 900)
    browser.open(f"{url}#/live")
    browser.wait_for(".last-reject")
    browser.wait_until("document.querySelector('.verdict').dataset.verdict === 'fail'", timeout_s=LONG_S)
    browser.wait_for_pictures()
    keep(browser, "page")


def rejects(browser: Browser, url: str) -> None:
    browser.resize(1280, 1000, dark=True)
    browser.open("about:blank")
    browser.open(f"{url}#/rejects")
    browser.wait_for(".wall li img")
    browser.wait_for_pictures()
    keep(browser, "rejects")


def result(browser: Browser, url: str) -> None:
    """The evidence over the picture of the clearest of the last rejects."""
    worst = max(rejected(url), key=lambda one: float(one["score"] or 0))
    browser.resize(1180, 1120)
    browser.open("about:blank")
    browser.open(f"{url}#/result/{worst['id']}")
    browser.wait_for(".stage img")
    slider = "document.querySelector('.stage').closest('section').querySelector('[type=range]')"
    browser.evaluate(f"{slider}.value = 80; {slider}.dispatchEvent(new Event('input'))")
    browser.wait_until("[...document.querySelectorAll('.sheet img')].filter(e => !e.hidden).length === 2")
    browser.wait_for_pictures()
    keep(browser, "result")


def rejected(url: str) -> list[Any]:
    try:
        answer = plain_http.get(f"{url}api/views/rejects", timeout=60)
    except httpx.TransportError:
        return []
    return list(answer.json()["results"])


def keep(browser: Browser, name: str) -> None:
    time.sleep(0.3)  # for the last frame to be painted
    answer = browser.command("Page.captureScreenshot", format="jpeg", quality=QUALITY)
    path = FOLDER / f"{name}.jpg"
    path.write_bytes(base64.b64decode(answer["data"]))
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
