"""When the next frame of a replayed source is due."""

from __future__ import annotations

from agent.clock import Clock


class Pace:
    """A steady rate on the host clock; a caller that comes late by a whole period is not hurried."""

    def __init__(self, rate_hz: float, clock: Clock) -> None:
        self._period_ns = round(1e9 / rate_hz) if rate_hz else 0
        self._clock = clock
        self._due_ns: int | None = None

    def wait(self, timeout_s: float) -> bool:
        """Wait for the next turn and take it; False when it lies beyond the timeout."""
        now_ns = self._clock.monotonic_ns()
        due_ns = now_ns if self._due_ns is None else self._due_ns
        if not wait_until(due_ns, timeout_s, self._clock):
            return False
        on_grid = now_ns - due_ns < self._period_ns
        self._due_ns = (due_ns if on_grid else now_ns) + self._period_ns
        return True


def wait_until(due_ns: int, timeout_s: float, clock: Clock) -> bool:
    """Sleep to a moment of the monotonic clock; False, after the timeout, when it lies beyond that."""
    rest_s = (due_ns - clock.monotonic_ns()) / 1e9
    clock.sleep(min(rest_s, timeout_s))
    return rest_s <= timeout_s
