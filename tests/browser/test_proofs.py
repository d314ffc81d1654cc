"""People see what a new bundle would have judged otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.page.server import PageServer
from agent.page.sources import Behind
from agent.status.board import Board
from agent.status.metrics import Metrics
from tests.agent.remote.proof.shadowed import Station, write_grey
from tests.browser import axe
from tests.browser.browser import Browser
from tests.browser.conftest import needs_chromium

pytestmark = needs_chromium


@pytest.mark.parametrize("width", [1280, 390])
def test_a_refused_bundle_is_shown_with_the_frames_that_it_flips(
    board: Board, browser: Browser, tmp_path: Path, width: int
) -> None:
    write_grey(tmp_path / "serves")
    station = Station(folder=tmp_path)
    station.keep()
    found = station.prove_here(write_grey(tmp_path / "candidate", threshold=0.4))
    page = PageServer(board, Metrics(), host="127.0.0.1", port=0, behind=Behind(proofs=station.proofs))
    page.start()
    try:
        browser.resize(width, 900)
        browser.open(f"{page.url}#/model")
        browser.wait_for(".proof")
        assert f"small {found.candidate.sha256[:12]} against small" in browser.text(".proof summary")
        assert "refused" in browser.text(".proof summary")
        browser.evaluate("document.querySelector('.proof summary').click()")
        browser.wait_for_pictures()
        card = browser.text(".differences .reject")
        for words in ("Good 91.0 → Rejected 113.7", "Original", "Serving: Good 91.0", "New: Rejected 113.7"):
            assert words in card
        assert "1 of 8 verdicts flip" in browser.text(".proof ul")
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert axe.violations(browser) == []
        assert browser.errors == []
    finally:
        browser.open("about:blank")
        page.stop()
