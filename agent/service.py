"""`plumbline run` from its start to its end, beside a service manager: start, changes, mending, stop.

One run of the agent follows another in this process: after damage to the outbox, which the next one mends,
and after a change of settings that reaches that far. What should be in force is for `SettingsRollout` to say,
whether somebody edited the file and asked for a reload, or a document came; settings with which nothing runs
are told to it, and those before stay in force.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeAlias

import structlog

from agent import crashes, logs
from agent.bundle.bundle import open_bundle
from agent.bundle.trust import require_trusted
from agent.clock import Clock
from agent.crew import Crew
from agent.errors import PlumblineError
from agent.outbox.file import DamagedError, OutboxError
from agent.outbox.place import check_place
from agent.page.opened import check_known
from agent.page.server import check_free
from agent.remote.settings.run import SettingsRun
from agent.remote.settings.target import Target
from agent.running import App
from agent.settings.reach import changed, farthest
from agent.settings.settings import Settings
from agent.systemd import Manager

MENDED_S = 60.0  # damage that comes again sooner is the disk's, and for people
OPENING_S = 600.0  # for bundle, engine and outbox: a large one is mended, a slow device wakes up

Build: TypeAlias = Callable[[Settings, Crew, "Service"], App]

log = structlog.get_logger()


class Wanted(Protocol):
    """What should be in force: `agent.remote.settings.desk.SettingsDesk`."""

    @property
    def target(self) -> Target: ...
    def start(self) -> Target: ...
    def attach(self, run: SettingsRun) -> None: ...
    def detach(self) -> None: ...
    def in_force(self, target: Target) -> None: ...
    def failed(self, reason: str) -> Target | None: ...
    def words(self) -> tuple[str, ...]: ...
    def reload(self) -> None: ...
    def turn(self) -> bool: ...
    def stop(self) -> None: ...


class Service:
    """Of one settings file; `run` belongs to the main thread."""

    def __init__(
        self,
        *,
        wanted: Wanted,
        build: Build,
        manager: Manager,
        clock: Clock,
        logs_folder: Path | None = None,
    ) -> None:
        """`logs_folder` keeps what a crash leaves."""
        self.manager = manager
        self._wanted = wanted
        self._build = build
        self._clock = clock
        self._logs_folder = logs_folder
        self._crew = Crew()
        self._stop = threading.Event()
        self._reload = threading.Event()
        self._is_running = False
        self._is_reloading = False  # as the manager was told
        self._said: tuple[str, ...] = ()  # of the settings, to the manager

    def words(self) -> tuple[str, ...]:
        """What people should know of the settings, one sentence each."""
        return self._wanted.words()

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
        self._wanted.reload()

    def wake(self) -> None:
        """There is something new to be looked at; from any thread."""
        self._crew.wake()

    def run(self) -> Settings:
        """Until it is told to stop, or every camera has come to its end; the settings in force by then.

        Raises SettingsError where there are none to begin with, and what ends a run that cannot be mended.
        """
        self._target = self._wanted.start()
        self._configure_logs()
        if self._logs_folder is not None:
            crashes.keep_in(self._logs_folder)
        self._before: Target | None = None  # in force until the target runs
        mended_ns: int | None = None
        try:
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
                    if self._is_running or not self._go_back(error):
                        raise
        finally:
            self._wanted.stop()
        return self._target.settings

    def _go_back(self, error: Exception) -> bool:
        """Whether there is something else to run in place of the target, with which nothing runs."""
        words = f"{type(error).__name__}: {error}"
        back = self._wanted.failed(words)
        if self._before is None and back is None:
            return False
        self._show_words()
        # The way back is to the bundle that ran, not to what a link names by now.
        self._target, self._before = self._before or back or self._target, None
        return True

    def _run_once(self) -> bool:
        """Whether it ended for good; else another run is wanted, of other settings."""
        self._is_running, self._goes_on = False, False
        gc.collect()  # the run before hangs together in cycles, with files and 20 MB
        self._crew = Crew()
        if self._stop.is_set():  # before there was this crew
            self._crew.stop.set()
        self.manager.status("Opening bundle, engine and outbox")
        self._allow_to_open()
        self._configure_logs()
        try:
            self._build(self._target.settings, self._crew, self).run(attend=self._attend)
        finally:
            self._wanted.detach()
        return not self._goes_on or self._stop.is_set()

    def _attend(self, app: App) -> bool:
        if not self._is_running:
            self._is_running = True
            self._wanted.attach(app.settings_run)
            if self._before is not None:
                self._tell(new_run=True)
            self._target, self._before = replace(self._target, snapshot=self._wanted.target.snapshot), None
            if self.manager.watchdog_s is not None:
                self.manager.watch_every(self.manager.watchdog_s)
            self._is_reloading = False
            self.manager.ready()
        if self._reload.is_set():
            self._reload.clear()
            self._is_reloading = True
            self.manager.reloading(self._clock.monotonic_ns())
        is_asked = self._wanted.turn()
        self._show_words()
        goes_on = True
        if is_asked or not _is_same(self._wanted.target, self._target):
            goes_on = self._take_over(app, self._wanted.target)
        if self._is_reloading and goes_on:
            self._is_reloading = False
            self.manager.ready()
        return goes_on

    def _take_over(self, app: App, target: Target) -> bool:
        """Put these settings in force; False where that takes another run."""
        found, before = target.settings, self._target.settings
        try:
            check_place(found.outbox.path)
            if found.outbox.path != before.outbox.path:
                _check_empty(app)
            bundle = open_bundle(found.bundle)
            require_trusted(bundle, found.trust)
            if found.page.enabled and found.page.port != before.page.port:
                check_free(found.page.host, found.page.port)
            check_known(found)
            reach = farthest(Settings, changed(before, found))
            # A link may name another one by now, and a camera may be of another kind.
            if bundle.sha256 != app.bundle.sha256 or not app.can_take_over(found):
                reach = "run"
            if reach != "run":
                app.take_over(found)
        except PlumblineError as error:
            if self._wanted.failed(str(error)) is not None and _is_same(self._wanted.target, self._target):
                self._wanted.in_force(self._target)  # it never stopped
            self._show_words()
            return True
        # The way back is to the bundle that runs, not to what a link names by now.
        running = before.model_copy(update={"bundle": app.bundle.path})
        self._before = replace(self._target, settings=running)
        self._target = target
        if reach == "run":
            self._goes_on = True
            self._allow_to_open()
            return False
        self._before = None
        self._configure_logs()
        self._tell(new_run=False)
        self._wanted.in_force(target)
        return True

    def _allow_to_open(self) -> None:
        """While parts are stopped and opened nothing moves, for as long as that takes."""
        self.manager.extend(OPENING_S)
        self.manager.watch_every(OPENING_S)

    def _tell(self, *, new_run: bool) -> None:
        settings = self._target.settings
        log.info(
            "settings_in_force",
            revision=settings.revision,
            sha256=settings.digest()[:12],
            new_run=new_run,
        )

    def _configure_logs(self) -> None:
        settings = self._target.settings
        logs.configure(settings.logs, station=settings.identity.station)

    def _show_words(self) -> None:
        words = self._wanted.words()
        for one in words:
            if one not in self._said:
                self.manager.status(one)
        self._said = words


def _is_same(one: Target, other: Target) -> bool:
    return one.snapshot == other.snapshot


def _check_empty(app: App) -> None:
    """What waits in an outbox that is left would wait for ever. Raises OutboxError."""
    outbox = app.parts.uplink.outbox
    if rows := outbox.depth().rows:
        raise OutboxError(
            f"{outbox.path}: {rows} rows wait in it, and nobody would send them; set outbox.path to another "
            "file once they are delivered"
        )
