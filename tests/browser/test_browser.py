"""The browser of the tests waits as a person does, also while a page is loaded again."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.browser.browser import Browser, PageLeft

LOADS = "new Promise(answer => setTimeout(() => answer(Number(sessionStorage.loads)), 400))"


class _LoadsItselfAgain(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(
            b"<script>sessionStorage.loads = Number(sessionStorage.loads || 0) + 1;"
            b"if (sessionStorage.loads < 12) setTimeout(() => location.reload(), 200);</script>"
        )

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_wait_goes_on_when_the_page_is_loaded_again_under_it(browser: Browser) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _LoadsItselfAgain) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            browser.open(f"http://127.0.0.1:{server.server_port}/")
            browser.wait_until("sessionStorage.loads")
            with pytest.raises(PageLeft):
                browser.evaluate(LOADS)
            assert browser.wait_until(f"{LOADS}.then(loads => loads >= 12 && loads)") == 12
        finally:
            browser.open("about:blank")
            server.shutdown()
