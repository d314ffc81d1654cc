"""Damage to the outbox ends a run of the agent, and begins the next one, which mends it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from agent.clock import Clock
from agent.crew import Crew
from agent.outbox.file import DamagedError

MENDED_S = 60.0  # damage that comes again sooner is the disk's, and for people

log = structlog.get_logger()


def run_mended(
    run: Callable[[Crew], None], stop_on_signals: Callable[[Crew], threading.Event], clock: Clock
) -> None:
    """Run with a fresh crew, again each time the outbox proves damaged. Raises what ends the last run."""
    mended_ns: int | None = None
    while True:
        crew = Crew()
        asked = stop_on_signals(crew)
        try:
            return run(crew)
        except DamagedError as error:
            now_ns = clock.monotonic_ns()
            if asked.is_set() or (mended_ns is not None and now_ns - mended_ns < MENDED_S * 1e9):
                raise
            log.error("restarting", reason=str(error))
            mended_ns = now_ns
