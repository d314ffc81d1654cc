"""The process of a station under test: outbox, courier and link as the agent has them, and a metronome.

It says over its pipe what is committed and how the link stands, and obeys two cues: `halt` ends
the appending, `stop` ends the station as the agent ends. SIGKILL needs no cue.
"""

from __future__ import annotations

import os
import random
import resource
import sys
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, TypeAlias

import paho.mqtt.client as paho

from agent.clock import Clock, SystemClock
from agent.outbox.file import OutboxError
from tests.agent.uplink.stations import Station, mqtt, station
from tests.faults.rows import Recipe

Report: TypeAlias = tuple[Literal["started", "committed", "halted", "link", "disk_full", "failed"], int | str]
Mishap: TypeAlias = Literal["none", "clock_jumps", "on_publish_raises"]

LOOK_S = 0.02
HOUR = timedelta(hours=1)
FAILURE_CODE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a station process has to do."""

    outbox: Path
    port: int
    recipe: Recipe
    rate_hz: float = 300.0  # 0: as fast as the outbox takes them
    appends: int | None = None  # None: until it is halted
    window: int = 20
    keepalive_s: int = 5
    haste: float = 1.0  # the waits between two connections are divided by it
    mishap: Mishap = "none"
    file_limit_bytes: int | None = None  # no file may grow beyond this, as on a full disk


class Hasty(random.Random):
    """Waits in proportion, but not as long."""

    haste = 1.0

    def uniform(self, a: float, b: float) -> float:
        return super().uniform(a, b) / self.haste


class JumpingClock(SystemClock):
    """Steady, but somebody sets its wall clock an hour ahead after a second, then two hours back."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    def utc_now(self) -> datetime:
        elapsed_s = time.monotonic() - self._began_s
        return super().utc_now() + (timedelta() if elapsed_s < 1 else HOUR if elapsed_s < 2 else -HOUR)


def run(orders: Orders, pipe: Connection) -> None:
    """Until told to stop, or until the outbox fails."""
    _speak_into(orders.outbox.with_suffix(".log"))
    if orders.mishap == "on_publish_raises":
        _let_a_callback_raise_once(paho.Client)
    if orders.file_limit_bytes is not None:
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (orders.file_limit_bytes, limit))
    clock: Clock = JumpingClock() if orders.mishap == "clock_jumps" else SystemClock()
    settings = mqtt(orders.port, keepalive_s=orders.keepalive_s)
    rng = Hasty(1)
    rng.haste = orders.haste
    one = station(orders.outbox, settings, rng, window=orders.window, clock=clock)
    one.start()
    _Conversation(orders, one, pipe).hold()


class _Conversation:
    """The main thread's part: it looks at the pipe and the station until `stop`."""

    def __init__(self, orders: Orders, one: Station, pipe: Connection) -> None:
        self._orders = orders
        self._station = one
        self._pipe = pipe
        self._sending = threading.Lock()
        self._halted = threading.Event()
        self._appender = threading.Thread(target=self._append, name="appender", daemon=True)
        self._reason = ""
        self._disk_full = False

    def hold(self) -> None:
        self._say(("started", os.getpid()))
        self._appender.start()
        while True:
            cue = self._pipe.recv() if self._pipe.poll(LOOK_S) else None
            self._say_how_it_stands()
            if cue == "halt":
                self._halted.set()
                self._appender.join()
                self._say(("halted", self._station.outbox.last_sequence()))
            elif cue == "stop":
                self._station.stop()
                return

    def _append(self) -> None:
        outbox, orders = self._station.outbox, self._orders
        first = outbox.last_sequence() + 1
        began_s = time.monotonic()
        done = 0
        while not self._halted.is_set() and done != orders.appends:
            number = first + done
            outbox.append(orders.recipe.append(number), partial(self._say, ("committed", number)))
            done += 1
            if orders.rate_hz:
                self._halted.wait(max(0.0, began_s + done / orders.rate_hz - time.monotonic()))
            if outbox.failure is not None:
                self._give_up(outbox.failure)
        outbox.append([]).result()  # everything before it is committed now

    def _give_up(self, failure: OutboxError) -> None:
        """As the agent does when its outbox has failed: say so and leave it to systemd."""
        self._say(("failed", str(failure)))
        os._exit(FAILURE_CODE)

    def _say_how_it_stands(self) -> None:
        if self._station.outbox.disk_full and not self._disk_full:
            self._disk_full = True
            self._say(("disk_full", ""))
        if self._station.link.state.reason != self._reason:
            self._reason = self._station.link.state.reason
            self._say(("link", self._reason))

    def _say(self, report: Report) -> None:
        with self._sending:
            self._pipe.send(report)


def _let_a_callback_raise_once(client_class: Any) -> None:
    """The 30th acknowledgement that any paho client wants to report meets a callback that raises."""
    plain = client_class.on_publish
    calls = iter(range(1, sys.maxsize))

    def replace(client: paho.Client, callback: Any) -> None:
        def raising(*arguments: Any) -> None:
            if next(calls) == 30:
                raise RuntimeError("scripted: a callback with a bug")
            callback(*arguments)

        plain.fset(client, None if callback is None else raising)

    client_class.on_publish = plain.setter(replace)


def _speak_into(file: Path) -> None:
    """Logs go to a file beside the outbox, for whoever asks why a test failed."""
    with file.open("ab") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
