"""What an open page costs the line: capture to durable record, by turns without one, behind others, in sight.

`python -m tests.benchmarks.bench_page [ROUNDS [SECONDS]]` feeds solar cells of 300 x 300 px to the line of
one agent, 20 a second, all of which fail. A turn has no page, one in the background, or one in sight, in a
real Chromium on this machine: its own work counts, too, which in a plant is another computer's. Before that
the first view is loaded some times beside a line that stands, until its first picture is there.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
import structlog

from agent.app import build
from agent.cameras.images import read_image
from agent.clock import SystemClock
from agent.crew import Crew
from agent.demo.cells import load_cells
from agent.page.server import PageServer
from agent.settings import camera as camera_settings
from agent.settings import settings
from tests.benchmarks.bench_archive import BUNDLE, EVERYTHING_FAILS, NoCamera, Side
from tests.benchmarks.bench_web import processor
from tests.browser.browser import Browser, find_chromium

ROUNDS, SECONDS, RATE_HZ = 6, 10.0, 20.0
LOADS = 10
FIRST_PICTURE_MS = "performance.getEntriesByType('resource').find(e => e.name.includes('.jpg'))?.responseEnd"
WAYS = ("no page", "in the background", "in sight")
HIDE = (
    "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true});"
    "document.dispatchEvent(new Event('visibilitychange'))"
)


def main() -> None:
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    chromium = find_chromium()
    if chromium is None:
        sys.exit("no Chromium on this machine; `make test` installs it")
    images = [read_image(cell.image) for cell in load_cells()[::60]]
    print(f"{processor()}, {rounds} turns of {seconds:g} s each way; capture to durable record in ms")
    with tempfile.TemporaryDirectory(prefix="bench-page-") as place:
        app = build(
            settings.Settings(
                bundle=BUNDLE,
                cameras=(camera_settings.Camera(name="bench"),),
                judge=settings.Judge(threshold=EVERYTHING_FAILS),
                outbox=settings.Outbox(path=Path(place) / "outbox.sqlite3", min_free_bytes=0),
                page=settings.Page(port=0),
            ),
            SystemClock(),
            Crew(),
            make=lambda *_: NoCamera,
        )
        page, side = app.page, Side(app=app)
        assert page is not None
        page.start()
        found: dict[str, list[list[float]]] = {way: [] for way in WAYS}
        try:
            with Browser(chromium, Path(place) / "browser") as browser:
                side.turn(images, RATE_HZ, 2.0)
                loads = [first_view(browser, page) for _ in range(LOADS)]
                print(
                    f"first view with its picture: median {np.median(loads):.0f}, at most {max(loads):.0f} ms"
                )
                for _ in range(rounds):
                    for way in WAYS:
                        show(browser, page, way)
                        side.turn(images, RATE_HZ, seconds)
                        found[way].append(side.by_turn_ms[-1])
                if browser.errors:
                    sys.exit(f"the page had errors: {browser.errors}")
        finally:
            page.stop()
            app.parts.uplink.keeper.close()
            app.parts.uplink.outbox.close()
            app.parts.recipes.bundles.close()
    report(found)


def show(browser: Browser, page: PageServer, way: str) -> None:
    browser.open("about:blank")
    if way == "no page":
        return
    browser.open(page.url)
    browser.wait_for(".sign svg")
    if way == "in the background":
        browser.evaluate(HIDE)


def first_view(browser: Browser, page: PageServer) -> float:
    """Milliseconds from the beginning of the navigation, nothing kept."""
    browser.command("Network.setCacheDisabled", cacheDisabled=True)
    browser.open("about:blank")
    browser.open(page.url)
    browser.wait_for(".sign svg")
    took = float(browser.wait_until(FIRST_PICTURE_MS))
    browser.command("Network.setCacheDisabled", cacheDisabled=False)
    return took


def report(found: dict[str, list[list[float]]]) -> None:
    """The ratio to the turn without a page in each round, and over all of them."""
    base = found[WAYS[0]]
    for way, turns in found.items():
        every = np.concatenate(turns)
        both = zip(base, turns, strict=True)
        pairs = [float(np.percentile(b, 99) / np.percentile(a, 99)) for a, b in both]
        print(
            f"{way:<20} p50 {np.median(every):7.2f}  p99 {np.percentile(every, 99):7.2f}"
            f"  p99 ratio: median {np.median(pairs):.3f} ({' '.join(f'{one:.2f}' for one in pairs)})"
        )


if __name__ == "__main__":
    main()
