"""A headless Chromium for tests, driven over the DevTools protocol.

Waits for what the page shows instead of sleeping, and remembers every error and address that the
page produced, so that a test can say "no error" and "nothing from outside".
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections import deque
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 60.0
STEP_S = 0.05
LEFT = (  # what DevTools answers when the page is loaded again under an expression
    "Inspected target navigated or closed",
    "Execution context was destroyed.",
    "Cannot find context with specified id",
)


class BrowserError(AssertionError):
    """The browser or the page did not do what the test waited for."""


class PageLeft(BrowserError):
    """The page went before it answered; the next one may."""


def find_chromium() -> str | None:
    """Where Chromium is on this machine; None where it is not (`make test` installs it)."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One Chromium with one tab, inside `with`."""

    def __init__(self, chromium: str, folder: Path) -> None:
        """`folder` must be new and empty; the browser's profile goes there."""
        self._chromium = chromium
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: ClientConnection | None = None
        self._stack = ExitStack()
        self._last_id = 0
        self.errors: list[str] = []
        self.addresses: deque[str] = deque(maxlen=10_000)

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "chromium.log"
        with log.open("wb") as sink:
            self._process = subprocess.Popen(
                [self._chromium, *FLAGS, f"--user-data-dir={self._folder / 'profile'}", "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            port = self._debugging_port(log)
            with urllib.request.urlopen(
                f"http://127.0.0.1:{port}/json/list", timeout=START_TIMEOUT_S
            ) as answer:
                tab = next(one for one in json.load(answer) if one["type"] == "page")
            self._socket = self._stack.enter_context(
                connect(
                    tab["webSocketDebuggerUrl"],
                    max_size=None,
                    open_timeout=START_TIMEOUT_S,
                    ping_interval=None,  # a test that looks elsewhere for long reads no answer to a ping
                )
            )
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.command(f"{domain}.enable")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One DevTools command and its answer."""
        assert self._socket is not None, "use the browser inside `with`"
        self._last_id += 1
        self._socket.send(json.dumps({"id": self._last_id, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=START_TIMEOUT_S))
            if message.get("id") != self._last_id:
                self._note(message)
                continue
            if "error" in message:
                left = message["error"].get("message") in LEFT
                raise (PageLeft if left else BrowserError)(f"{method}: {message['error']}")
            result: dict[str, Any] = message["result"]
            return result

    def resize(self, width: int, height: int, *, dark: bool = False, forced: bool = False) -> None:
        """Show the page in a window of that size, light or dark, or in the colours of the system alone."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        colours = {"name": "forced-colors", "value": "active" if forced else "none"}
        self.command("Emulation.setEmulatedMedia", features=[scheme, colours])

    def open(self, url: str) -> None:
        """Start loading `url`; wait for something on it before using it."""
        answer = self.command("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")

    def evaluate(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression; a promise is awaited."""
        answer = self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_until(self, expression: str, *, timeout_s: float = 60.0) -> Any:
        """The first truthy value of the expression, on this page or one that it goes to."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with suppress(PageLeft):
                if value := self.evaluate(expression):
                    return value
            time.sleep(STEP_S)
        text = "nothing, it went"
        with suppress(PageLeft):
            text = self.evaluate("document.body ? document.body.innerText.slice(0, 2000) : ''")
        raise BrowserError(
            f"not true within {timeout_s} s: {expression}\nerrors: {self.errors}\npage says: {text}"
        )

    def wait_for(self, selector: str, *, timeout_s: float = 60.0) -> None:
        """Until an element that matches is there and takes up room."""
        self.wait_until(
            f"[...document.querySelectorAll({json.dumps(selector)})].some(e => e.getClientRects().length)",
            timeout_s=timeout_s,
        )

    def wait_for_pictures(self, *, timeout_s: float = 60.0) -> None:
        """Until every image in the window is loaded; those further down load when scrolled to."""
        self.wait_until(
            "[...document.images].map(i => [i, i.getBoundingClientRect()])"
            ".filter(([i, area]) => area.top < innerHeight && area.left < innerWidth).map(([i]) => i)"
            ".every(i => i.complete && i.naturalWidth)",
            timeout_s=timeout_s,
        )

    def press(self, key: str, code: int, text: str = "", *, shift: bool = False) -> None:
        """One key, as a person does it."""
        parameters = {
            "key": key,
            "code": key,
            "windowsVirtualKeyCode": code,
            "modifiers": 8 if shift else 0,
        }
        self.command("Input.dispatchKeyEvent", type="keyDown", text=text, **parameters)
        self.command("Input.dispatchKeyEvent", type="keyUp", **parameters)

    def text(self, selector: str) -> str:
        """What the first matching element shows to people."""
        text: str = self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")
        return text

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the window."""
        answer = self.command("Page.captureScreenshot", format="png", optimizeForSpeed=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _debugging_port(self, log: Path) -> int:
        assert self._process is not None
        port_file = self._folder / "profile" / "DevToolsActivePort"
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if port_file.exists() and (lines := port_file.read_text().split()):
                return int(lines[0])
            time.sleep(STEP_S)
        raise BrowserError(f"{self._chromium} did not start: {log.read_text(errors='replace')[-2000:]}")

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(parameters["exceptionDetails"]))
        elif message.get("method") == "Runtime.consoleAPICalled" and parameters["type"] == "error":
            self.errors.append(str(parameters["args"]))
        elif message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif message.get("method") == "Network.requestWillBeSent":
            self.addresses.append(parameters["request"]["url"])

    def _end(self) -> None:
        """Ask Chromium to close; what is left of its process group after that is killed."""
        if self._socket is not None:
            with suppress(BrowserError, WebSocketException, OSError):
                self.command("Browser.close")
        with suppress(WebSocketException, OSError):
            self._stack.close()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_TIMEOUT_S)
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
