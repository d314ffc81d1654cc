"""Time and identity as arguments, so that tests can hold them still."""

from __future__ import annotations

import ctypes
import secrets
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from typing import Protocol


class Clock(Protocol):
    """Everything the agent knows about time."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never run backwards; only differences mean anything."""

    def utc_now(self) -> datetime:
        """Wall-clock time with a UTC time zone; may jump."""

    def sleep(self, seconds: float) -> None:
        """Wait; returns at once for zero or less."""


class SystemClock:
    """The machine's own clock."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def utc_now(self) -> datetime:
        return datetime.now(timezone.utc)

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class ManualClock:
    """A clock that moves only when told to; `sleep` moves it."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=timezone.utc)) -> None:
        self._start = start
        self._elapsed_ns = 0
        self._lock = threading.Lock()

    def monotonic_ns(self) -> int:
        return self._elapsed_ns

    def utc_now(self) -> datetime:
        return self._start + timedelta(microseconds=self._elapsed_ns / 1000)

    def sleep(self, seconds: float) -> None:
        self.advance(max(seconds, 0.0))

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._elapsed_ns += round(seconds * 1e9)


def rfc3339(moment: datetime) -> str:
    """UTC to the millisecond with a Z, as every payload writes it."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_uuid7(clock: Clock) -> str:
    """A time-ordered unique id (RFC 9562 section 5.7)."""
    milliseconds = int(clock.utc_now().timestamp() * 1000) & ((1 << 48) - 1)
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def clock_synced() -> bool | None:
    """Whether the kernel says that something disciplines its clock; None where it does not say."""
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:
        return None
    state = (ctypes.c_long * 64)()  # struct timex with modes 0: a question, nothing is set
    code = adjtimex(ctypes.byref(state))
    return None if code < 0 else code != _TIME_ERROR


_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
