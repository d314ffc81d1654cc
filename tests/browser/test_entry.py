"""People sign in and out at the page, by keyboard alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.page.server import PageServer
from agent.page.sessions.accounts import AccountsFile
from agent.status.board import Board
from agent.status.metrics import Metrics
from tests.browser import axe
from tests.browser.browser import Browser
from tests.browser.conftest import needs_chromium

pytestmark = needs_chromium
PASSWORD = "belt stands at noon"


def press(browser: Browser, key: str, text: str = "") -> None:
    code = {"Tab": 9, "Enter": 13}[key]
    for kind in ("keyDown", "keyUp"):
        more = {"text": text} if text and kind == "keyDown" else {}
        browser.command("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more)


@pytest.mark.parametrize("width", [1280, 390])
def test_somebody_signs_in_and_out_by_keyboard(
    board: Board, browser: Browser, tmp_path: Path, width: int
) -> None:
    accounts = AccountsFile(tmp_path / "accounts.json")
    accounts.put("emma", "engineer", PASSWORD)
    page = PageServer(board, Metrics(), host="127.0.0.1", port=0, accounts=accounts.path)
    page.start()
    try:
        browser.resize(width, 900)
        browser.open(page.url)
        browser.wait_for("#entry")
        assert "Waiting" not in browser.evaluate("document.body.innerText")  # the station is there
        assert axe.violations(browser) == []
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert browser.errors == []
        for password in ("not the password", PASSWORD):
            browser.evaluate("document.getElementById('entry-name').select()")
            browser.evaluate("document.getElementById('entry-name').focus()")
            browser.command("Input.insertText", text="emma")
            press(browser, "Tab")
            browser.command("Input.insertText", text=password)
            press(browser, "Enter", "\r")
            if password != PASSWORD:
                browser.wait_until("document.getElementById('entry-fault').textContent.includes('wrong')")
        browser.wait_until("document.getElementById('person').textContent === 'emma, engineer'")
        browser.wait_for("#view .of-live")
        browser.wait_for("#health-state")
        assert browser.evaluate("document.cookie") == ""
        browser.evaluate("document.getElementById('sign-out').focus()")
        press(browser, "Enter", "\r")
        browser.wait_for("#entry")
        assert browser.text("#station") == "Plumbline"
    finally:
        browser.open("about:blank")
        page.stop()
