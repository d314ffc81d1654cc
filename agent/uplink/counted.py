"""What the uplink counts since its start, as increments of the metrics."""

from __future__ import annotations

from dataclasses import asdict

from agent.outbox.file import Depth
from agent.outbox.spool import Tidied
from agent.status.board import Board, OutboxReader
from agent.status.metrics import Metrics
from agent.uplink.uplink import Uplink


def show_depth(board: Board, depth: Depth) -> None:
    """What waits, for the page."""
    readers = tuple(OutboxReader(**asdict(one)) for one in depth.readers)
    board.outbox_depth(rows=depth.rows, size_bytes=depth.bytes, oldest_s=depth.oldest_s, readers=readers)


class Counted:
    """Remembers what was counted; for one thread."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._before = {"published": 0, "acknowledged": 0, "refused": 0}
        self._connects = 1  # the first one is no reconnect
        self._performed = 0
        self._dropped = 0
        self._refusals: dict[str, int] = {}

    def take(self, uplink: Uplink, depth: Depth, tidied: Tidied) -> None:
        """Everything that has happened since the last call."""
        metrics, courier, desk, link = self._metrics, uplink.courier.state, uplink.desk, uplink.link
        metrics.outbox_depth(rows=depth.rows, size_bytes=depth.bytes, oldest_s=depth.oldest_s)
        for one in depth.readers:
            metrics.outbox_reader(one.name, rows=one.rows, oldest_s=one.oldest_s, refused=one.refused)
        metrics.outbox_state(
            full=uplink.keeper.full, unconfirmed=depth.unconfirmed, dead_letters=depth.dead_letters
        )
        now = {
            "published": courier.publications,
            "acknowledged": courier.deliveries,
            "refused": courier.refusals,
        }
        more = {name: count - self._before[name] for name, count in now.items()}
        metrics.delivery(crops_evicted=len(tidied.evicted), **more)
        refusals = {**desk.refusals, "busy": link.inbound_refused}
        performed, dropped = desk.performed, link.inbound_dropped
        metrics.commands(
            performed=performed - self._performed,
            refused={kind: count - self._refusals.get(kind, 0) for kind, count in refusals.items()},
            dropped=dropped - self._dropped,
        )
        connects = link.state.connects
        for _ in range(connects - self._connects):
            metrics.reconnected()
        self._before, self._refusals, self._performed, self._dropped = now, dict(refusals), performed, dropped
        self._connects = max(connects, 1)
