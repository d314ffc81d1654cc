"""The page's server: bind first, then serve from a thread of its own."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import threading
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from agent.errors import PlumblineError
from agent.page.connections import LIMITS, Door, Guest, Limits
from agent.page.feed import Feed
from agent.page.opened import PageError as PageError
from agent.page.opened import require_known
from agent.page.routes import LOOPBACK_NAMES, page_app
from agent.page.sessions.accounts import AccountsFile, path_of
from agent.page.sessions.gate import Gate, Terms
from agent.page.shown import Shown
from agent.page.sources import NOTHING, Behind, Sources
from agent.page.told import Told
from agent.settings import settings
from agent.settings.settings import PageProxy
from agent.status.board import Board
from agent.status.metrics import Metrics

STOP_TIMEOUT_S = 5.0
NO_PROXY = PageProxy()


class Server(uvicorn.Server):
    """Leaves no connection open: one that came in the last moment, or whose reader does not read, is cut."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # the loop closes the cut ones before it ends


class PageServer:
    """Serves board and metrics over HTTP between `start` and `stop`."""

    def __init__(
        self,
        board: Board,
        metrics: Metrics,
        *,
        host: str,
        port: int,
        allowed_hosts: Collection[str] = (),
        limits: Limits = LIMITS,
        behind: Behind = NOTHING,
        accounts: Path | None = None,
        anonymous: bool = False,
        proxy: PageProxy = NO_PROXY,
        station: str = "",
    ) -> None:
        """Port 0 takes a free one, known as `port` after `start`. `allowed_hosts`: names it has elsewhere.

        `accounts` is the file of those who may sign in; None: nobody. `station` names this one among all that
        a browser may know under the same host; its port is added.
        """
        self._accounts = AccountsFile(accounts)
        self._anonymous = anonymous
        self._proxy = proxy
        self._station = station
        self._sources = Sources(board=board, metrics=metrics, shown=Shown(board), behind=behind)
        self._feed: Feed | None = None
        self._host = host
        self._port = port
        self._allowed_hosts = allowed_hosts
        self._limits = limits
        self.turned_away = 0  # connections, since the start
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        """What to type into a browser on this machine."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/"

    def start(self) -> None:
        """Bind and serve; connections are accepted when this returns. Raises PageError."""
        listener = _bind(self._host, self._port, self._limits.backlog)
        address = listener.getsockname()
        self._port = address[1]
        loopback = ipaddress.ip_address(address[0]).is_loopback
        if not loopback:
            try:
                require_known(self._accounts, self._host, anonymous=self._anonymous, proxy=self._proxy)
            except PlumblineError:
                listener.close()
                raise
        own = LOOPBACK_NAMES | {"::1", self._host.lower()}
        terms = Terms(
            on_loopback=loopback,
            anonymous=self._anonymous,
            proxy=self._proxy,
            own_names=own,
            station=f"{self._station}:{self._port}",
        )
        names = LOOPBACK_NAMES | {self._host.lower()} | {name.lower() for name in self._allowed_hosts}
        host_names = names if loopback or self._allowed_hosts else None
        feed = self._feed = Feed(Told(self._sources).news)
        http: Any = partial(Guest, Door(self._limits, self._turn_away))
        config = uvicorn.Config(
            page_app(self._sources, feed, Gate(self._accounts, terms), host_names=host_names),
            http=http,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # what a proxy says counts from listed addresses, and the gate looks at that
            backlog=self._limits.backlog,
            timeout_keep_alive=max(1, round(self._limits.ask_s) - 1),  # politely, before the door does it
            timeout_graceful_shutdown=1,
        )
        self._server = Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="page", daemon=True
        )
        self._thread.start()

    def _turn_away(self) -> None:
        self.turned_away += 1

    def stop(self) -> None:
        """Close the port and end the thread; harmless when not started."""
        if self._server is None or self._thread is None or self._feed is None:
            return
        self._feed.close()
        self._server.should_exit = True
        self._thread.join(STOP_TIMEOUT_S)
        self._server = self._thread = None


def make_server(
    board: Board, metrics: Metrics, everything: settings.Settings, *, behind: Behind
) -> PageServer | None:
    """The page as the settings want it; None where they want none."""
    wanted = everything.page
    if not wanted.enabled:
        return None
    return PageServer(
        board,
        metrics,
        host=wanted.host,
        port=wanted.port,
        allowed_hosts=wanted.allowed_hosts,
        behind=behind,
        accounts=path_of(everything),
        anonymous=wanted.anonymous,
        proxy=wanted.proxy,
        station="/".join(everything.identity.model_dump(mode="json").values()),
    )


def check_address(host: str, port: int) -> None:
    """That the page may listen there; a port that is taken, maybe by a running agent, is no fault.

    Raises PageError.
    """
    try:
        _bind(host, port, 0).close()
    except PageError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno != errno.EADDRINUSE:
            raise


def check_free(host: str, port: int) -> None:
    """That the page may listen there, and nobody does. Raises PageError."""
    _bind(host, port, 0).close()


def _bind(host: str, port: int, backlog: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise PageError(
            f"page: host {host!r} is not known ({error.strerror}); set page.host to 127.0.0.1"
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        # A restart must not wait for the last run's connections to time out.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise PageError(
            f"page: cannot listen on {host}:{port} ({error.strerror}); "
            "stop the program that has the port or set page.port to another one (0 takes a free one)"
        ) from error
    return listener
