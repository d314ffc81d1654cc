"""Appends on their way to the thread that commits, and which of them it commits together."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from agent.clock import Clock
from agent.outbox.seal import Sealed

GROUP_ROWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Rows of one transaction."""

    rows: tuple[Sealed, ...]
    last: int | None  # the last sequence among them
    on_committed: Callable[[], None] | None
    future: Future[None]


def next_group(
    appends: queue.Queue[Append | None], clock: Clock, closes_ns: int
) -> tuple[list[Append], bool]:
    """What waits now and what comes until `closes_ns`, and whether there is more to expect."""
    group: list[Append] = []
    rows = 0
    while rows < GROUP_ROWS:
        left_s = (closes_ns - clock.monotonic_ns()) / 1e9
        try:
            one = appends.get(block=not group or left_s > 0, timeout=left_s if group else None)
        except queue.Empty:
            break
        if one is None:
            return group, False
        group.append(one)
        rows += len(one.rows)
    return group, True
