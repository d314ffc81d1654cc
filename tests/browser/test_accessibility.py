"""People who cannot see the page well, or use no mouse, have all of it: axe-core finds nothing to say."""

from __future__ import annotations

import pytest

from agent.page.server import PageServer
from agent.status.board import Board
from tests.agent.status.samples import THRESHOLD, part, verdict
from tests.browser.axe import violations
from tests.browser.browser import Browser
from tests.browser.conftest import needs_chromium
from tests.browser.test_page import judge

pytestmark = needs_chromium


def skip(board: Board, numbers: range) -> None:
    """Half of them left a thumbnail."""
    for number in numbers:
        board.judged(
            verdict(number, "skipped", reason="overload"), part(number).image if number % 2 else None
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "width", "dark"),
    [
        ("empty", 390, True),
        ("running", 1280, False),
        ("partly", 800, True),
        ("overload", 1280, True),
        ("overload", 390, False),
        ("lost", 800, False),
        ("stale", 1280, False),
        ("stale", 1280, True),
    ],
)
def test_no_rule_is_violated(
    board: Board, page: PageServer, browser: Browser, scene: str, width: int, dark: bool
) -> None:
    if scene != "empty":
        judge(board, range(60))
        odd = verdict(60, "undecided", reason="no_evidence")
        board.judged(odd, part(60).image)
        board.rejected(odd, image=part(60).image, restored=None, evidence=None, threshold=THRESHOLD)
    if scene == "partly":
        skip(board, range(61, 63))
    if scene == "overload":
        skip(board, range(61, 90))
    if scene == "lost":
        board.camera_state("top", "lost", "no frame for 5 s; check its cable")
        board.link_state("lost", "refused")
        board.outbox_depth(rows=1_234_567, size_bytes=9, oldest_s=45_000.0)
    browser.resize(width, 900, dark=dark)
    browser.open(page.url)
    browser.wait_for("#no-reject" if scene == "empty" else ".last-reject")
    browser.wait_for_pictures()
    if scene == "stale":
        page.stop()
        browser.wait_for("#stale")
    assert violations(browser) == []
