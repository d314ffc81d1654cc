"""The page works below a path of a proxy that passes Host on, and only under names that are set."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agent.page.server import PageServer
from agent.status.board import Board
from agent.status.metrics import Metrics
from tests import plain_http
from tests.browser.browser import Browser
from tests.browser.conftest import needs_chromium
from tests.browser.test_page import judge

pytestmark = needs_chromium
NAME = "mes.plant.localhost"  # Chromium takes any name below localhost for this machine
PREFIX = "/cells/plumbline"


class Proxy(BaseHTTPRequestHandler):
    """As nginx with `proxy_pass http://127.0.0.1:PORT/;` and `proxy_set_header Host $http_host;`."""

    upstream = ""

    def do_GET(self) -> None:
        if not self.path.startswith(f"{PREFIX}/"):
            self.send_error(404)
            return
        headers = {"Host": self.headers["Host"], "X-Forwarded-For": "10.9.8.7", "X-Forwarded-Proto": "https"}
        answer = plain_http.get(self.upstream + self.path[len(PREFIX) + 1 :], headers=headers, timeout=60)
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name not in ("date", "connection"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test looks at what the browser asked for."""


@pytest.fixture
def port(board: Board, browser: Browser) -> Iterator[int]:
    """The proxy's."""
    page = PageServer(board, Metrics(), host="127.0.0.1", port=0, allowed_hosts=(NAME,))
    page.start()
    Proxy.upstream = page.url
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        yield proxy.server_address[1]
        browser.open("about:blank")
        proxy.shutdown()
        thread.join()
    page.stop()


def test_page_pictures_and_state_come_from_below_the_path(board: Board, port: int, browser: Browser) -> None:
    judge(board, range(8))
    browser.open(f"http://{NAME}:{port}{PREFIX}/")
    browser.wait_for(".last-reject img")
    browser.wait_for_pictures()
    assert browser.text("#health") == "Running"
    browser.evaluate("document.querySelector('.last-reject a').click()")
    browser.wait_for(".stage img")
    browser.wait_for_pictures()
    assert browser.errors == []
    addresses = {address for address in browser.addresses if address.startswith("http")}
    assert len(addresses) > 10
    assert all(address.startswith(f"http://{NAME}:{port}{PREFIX}/") for address in addresses)


def test_a_name_that_is_not_set_is_refused_through_the_proxy_as_without_it(
    port: int, browser: Browser
) -> None:
    answer = plain_http.get(
        f"http://127.0.0.1:{port}{PREFIX}/api/state", headers={"Host": "evil.example"}, timeout=60
    )
    assert answer.status_code == 421
    assert "page.allowed_hosts" in answer.text
