"""`plumbline run` from its start to its end, beside a service manager: start, reload, mending, stop.

One run of the agent follows another in this process: after damage to the outbox, which the next one mends,
and after a reload of settings that need more than another recipe. Settings that are refused, or with which
nothing runs, change nothing: those before stay in force, and the station says so.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import structlog

from agent import crashes, logs
from agent.address import masked_text
from agent.app import App
from agent.bundle.bundle import open_bundle
from agent.bundle.trust import require_trusted
from agent.clock import Clock, rfc3339
from agent.crew import Crew
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.outbox.file import DamagedError, OutboxError
from agent.outbox.place import check_place
from agent.page.server import check_free
from agent.settings.settings import Settings
from agent.systemd import Manager

MENDED_S = 60.0  # damage that comes again sooner is the disk's, and for people
OPENING_S = 600.0  # for bundle, engine and outbox: a large one is mended, a slow device wakes up
HOT = {"revision", "judge", "crops", "logs"}  # what another recipe, or nothing, puts in force

Build: TypeAlias = Callable[[Settings, Crew, "Service"], App]

log = structlog.get_logger()


class Service:
    """Of one settings file; `run` belongs to the main thread."""

    def __init__(
        self,
        *,
        load: Callable[[], Settings],
        build: Build,
        manager: Manager,
        clock: Clock,
        logs_folder: Path | None = None,
    ) -> None:
        """`logs_folder` keeps what a crash leaves."""
        self.manager = manager
        self._load = load
        self._build = build
        self._clock = clock
        self._logs_folder = logs_folder
        self._crew = Crew()
        self._stop = threading.Event()
        self._reload = threading.Event()
        self._is_running = False
        self._refused: str | None = None

    def words(self) -> tuple[str, ...]:
        """That settings were refused, and why, until good ones come."""
        return () if self._refused is None else (self._refused,)

    def handle_signals(self) -> None:
        """SIGTERM and SIGINT end it. SIGHUP reads the settings anew, or ends what a terminal started."""
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, lambda *_: self.stop())
        hang_up = self.stop if sys.stdin is not None and sys.stdin.isatty() else self.reload
        signal.signal(signal.SIGHUP, lambda *_: hang_up())

    def stop(self) -> None:
        """Have `run` end; what waits is delivered first, for a while."""
        self._stop.set()
        self._crew.stop.set()
        self.manager.stopping()

    def reload(self) -> None:
        """Have the settings read anew."""
        self._reload.set()

    def run(self) -> Settings:
        """Until it is told to stop, or every camera has come to its end; the settings in force by then.

        Raises SettingsError for the first ones, and what ends a run that cannot be mended.
        """
        self._wanted = self._load()
        self._configure_logs(self._wanted)
        if self._logs_folder is not None:
            crashes.keep_in(self._logs_folder)
        self._before: Settings | None = None  # in force until the wanted ones run
        mended_ns: int | None = None
        while not self._stop.is_set():
            try:
                if self._run_once():
                    break
            except DamagedError as error:
                now_ns = self._clock.monotonic_ns()
                if self._stop.is_set() or (mended_ns is not None and now_ns - mended_ns < MENDED_S * 1e9):
                    raise
                log.error("restarting", reason=str(error))
                mended_ns = now_ns
            except Exception as error:  # new settings may make a driver raise what it likes
                if self._is_running or self._before is None:
                    raise
                self._refuse(f"{type(error).__name__}: {error}")
                self._wanted, self._before = self._before, None
        return self._wanted

    def _run_once(self) -> bool:
        """Whether it ended for good; else another run is wanted, of other settings."""
        running, self._is_running = self._wanted, False
        self._crew = Crew()
        if self._stop.is_set():  # before there was this crew
            self._crew.stop.set()
        self.manager.status("Opening bundle, engine and outbox")
        self._allow_to_open()
        self._configure_logs(running)
        self._build(running, self._crew, self).run(attend=self._attend)
        return self._before is None or self._stop.is_set()

    def _attend(self, app: App) -> bool:
        if not self._is_running:
            if self._before is not None:
                self._tell(self._wanted, new_run=True)
            self._is_running, self._before = True, None
            if self.manager.watchdog_s is not None:
                self.manager.watch_every(self.manager.watchdog_s)
            self.manager.ready()
        if not self._reload.is_set():
            return True
        self._reload.clear()
        self.manager.reloading(self._clock.monotonic_ns())
        return self._take_over(app)

    def _take_over(self, app: App) -> bool:
        """Put the file's settings in force; False where that takes another run."""
        try:
            found = self._load()
            check_place(found.outbox.path)
            if found.outbox.path != self._wanted.outbox.path:
                _check_empty(app)
            bundle = open_bundle(found.bundle)
            require_trusted(bundle, found.trust)
            if found.page.enabled and found.page.port != self._wanted.page.port:
                check_free(found.page.host, found.page.port)
            kept = {name for name in type(found).model_fields if name not in HOT}
            goes_on = found.model_dump(include=kept) == self._wanted.model_dump(include=kept)
            goes_on = goes_on and bundle.sha256 == app.bundle.sha256  # a link may name another one by now
            if goes_on:
                app.take_over(found)
        except PlumblineError as error:
            self._refuse(str(error))
            self.manager.ready()
            return True
        self._refused = None
        # The way back is to the bundle that runs, not to what a link names by now.
        before = self._wanted.model_copy(update={"bundle": app.bundle.path})
        self._wanted = found
        if not goes_on:
            self._before = before
            self._allow_to_open()
            return False
        self._configure_logs(found)
        self._tell(found, new_run=False)
        self.manager.ready()
        return True

    def _allow_to_open(self) -> None:
        """While parts are stopped and opened nothing moves, for as long as that takes."""
        self.manager.extend(OPENING_S)
        self.manager.watch_every(OPENING_S)

    def _tell(self, wanted: Settings, *, new_run: bool) -> None:
        log.info("settings_in_force", revision=wanted.revision, sha256=wanted.digest()[:12], new_run=new_run)

    def _configure_logs(self, wanted: Settings) -> None:
        logs.configure(wanted.logs, station=wanted.identity.station)

    def _refuse(self, reason: str) -> None:
        first = masked_text(shown(reason.splitlines()[0]))
        at = rfc3339(self._clock.utc_now())
        self._refused = f"Settings read at {at} were refused, those before stay in force: {first}"
        self.manager.status(self._refused)
        log.error("settings_refused", reason=masked_text(shown(reason)))


def _check_empty(app: App) -> None:
    """What waits in an outbox that is left would wait for ever. Raises OutboxError."""
    outbox = app.parts.uplink.outbox
    if rows := outbox.depth().rows:
        raise OutboxError(
            f"{outbox.path}: {rows} rows wait in it, and nobody would send them; set outbox.path to another "
            "file once they are delivered"
        )
