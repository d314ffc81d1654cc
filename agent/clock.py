"""Time and identity as arguments, so that tests can hold them still."""

from __future__ import annotations

import ctypes
import secrets
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Protocol
from weakref import WeakKeyDictionary


class Clock(Protocol):
    """Everything the agent knows about time."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never run backwards; only differences within one boot mean anything."""

    def boot(self) -> str:
        """Which run of the machine `monotonic_ns` belongs to; another one after every boot."""

    def synced(self) -> bool | None:
        """Whether something disciplines the wall clock; None where nobody says."""

    def utc_now(self) -> datetime:
        """Wall-clock time with a UTC time zone; may jump."""

    def sleep(self, seconds: float) -> None:
        """Wait; returns at once for zero or less."""


class SystemClock:
    """The machine's own clock."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def boot(self) -> str:
        return _BOOT

    def synced(self) -> bool | None:
        return clock_synced()

    def utc_now(self) -> datetime:
        return datetime.now(timezone.utc)

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class ManualClock:
    """A clock that moves only when told to; `sleep` moves it. Each is a boot of its own."""

    def __init__(
        self, start: datetime = datetime(2026, 1, 1, tzinfo=timezone.utc), *, synced: bool | None = None
    ) -> None:
        self._start = start
        self._synced = synced
        self._boot = str(uuid.uuid4())
        self._elapsed_ns = 0
        self._lock = threading.Lock()

    def monotonic_ns(self) -> int:
        return self._elapsed_ns

    def boot(self) -> str:
        return self._boot

    def synced(self) -> bool | None:
        return self._synced

    def utc_now(self) -> datetime:
        return self._start + timedelta(microseconds=self._elapsed_ns / 1000)

    def sleep(self, seconds: float) -> None:
        self.advance(max(seconds, 0.0))

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._elapsed_ns += round(seconds * 1e9)


class Steps:
    """Watches the wall clock against the one that never steps. For one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: datetime | None = None  # of the machine's run, by the wall clock
        self._stepped_ns: int | None = None

    def lately(self, now: datetime) -> bool:
        """Whether it was seen to step by more than an hour within the last day; `now` is what it says."""
        now_ns = self._clock.monotonic_ns()
        began = now - timedelta(microseconds=now_ns // 1000)
        if self._began is not None and abs(began - self._began) > _STEP:
            self._stepped_ns = now_ns
        self._began = began
        return self._stepped_ns is not None and now_ns - self._stepped_ns < _DAY_NS


def rfc3339(moment: datetime) -> str:
    """UTC to the millisecond with a Z, as every payload writes it."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_of(text: str) -> datetime:
    """Of RFC 3339 in UTC, as `rfc3339` writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def new_uuid7(clock: Clock) -> str:
    """A unique id (RFC 9562 section 5.7), later in order than every one made of this clock before.

    A wall clock that steps back holds the id's time where it was (section 6.2); 12 bits count on from there.
    """
    now = int(clock.utc_now().timestamp() * 1000) << 12 | secrets.randbits(11)
    with _order:
        ticks = _last_ticks[clock] = max(now & _TICKS, _last_ticks.get(clock, 0) + 1)
    value = (ticks >> 12) << 80 | 0x7 << 76 | (ticks & 0xFFF) << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def uuid7_after(clock: Clock, id_: str) -> None:
    """Have the ids of this clock follow one that another process made; what is no such id is ignored."""
    try:
        known = uuid.UUID(id_)
    except ValueError:
        return
    if known.version == 7:
        with _order:
            ticks = (known.int >> 80) << 12 | (known.int >> 64) & 0xFFF
            _last_ticks[clock] = max(ticks, _last_ticks.get(clock, 0))


def clock_synced() -> bool | None:
    """Whether the kernel says that something disciplines its clock; None where it does not say."""
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:
        return None
    state = (ctypes.c_long * 64)()  # struct timex with modes 0: a question, nothing is set
    code = adjtimex(ctypes.byref(state))
    return None if code < 0 else code != _TIME_ERROR


_STEP = timedelta(hours=1)
_DAY_NS = 86_400 * 10**9
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised

_TICKS = (1 << 60) - 1  # 48 bits of milliseconds, 12 that count
_order = threading.Lock()
_last_ticks: WeakKeyDictionary[Clock, int] = WeakKeyDictionary()


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux: nothing outlives the process then
        return str(uuid.uuid4())


_BOOT = _boot_id()
