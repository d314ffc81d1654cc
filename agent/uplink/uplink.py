"""From the record to the broker and the gateways: every part, started, watched and stopped together."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import structlog
from pydantic import JsonValue

from agent.chain.notary import Notary
from agent.clock import Clock
from agent.contract.events import EventMaker, Severity
from agent.contract.head import ChainEnd
from agent.errors import PlumblineError
from agent.gateways.gateway import Gateway
from agent.outbox import file as outbox_file
from agent.outbox.cursor import Cursor
from agent.outbox.file import DamagedError, FullError
from agent.outbox.keeper import Keeper
from agent.outbox.outbox import Outbox
from agent.outbox.spool import Tidied
from agent.uplink.courier import Courier
from agent.uplink.mqtt.link import MqttLink
from agent.uplink.shipment import CourierState

HANG_S = 60.0
DRAIN_S = 5.0  # how long a finished run may take to deliver what waits

log = structlog.get_logger(__name__)


class LinkHungError(PlumblineError):
    """The network thread is alive and does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that stands against delivery, from when it is seen until it is gone."""

    event: str
    severity: Severity
    detail: str
    data: Mapping[str, JsonValue] = field(default_factory=dict)
    over: str | None = None  # the event when it is gone


@dataclass(slots=True, kw_only=True)
class Uplink:
    """Every part of one station's uplink; `watch` is to be called once a second."""

    clock: Clock
    events: EventMaker
    outbox: Outbox
    keeper: Keeper
    link: MqttLink
    courier: Courier
    cursors: tuple[Cursor, ...]
    gateways: tuple[Gateway, ...]
    notary: Notary | None = None
    unsigned: str | None = None  # why the station's key cannot sign, and nothing is signed
    troubles: dict[str, Trouble] = field(default_factory=dict)  # as `watch` last saw them
    rows_lost: int = 0  # of a damaged outbox, at the start
    lacks_told: set[str] = field(default_factory=set)  # of brokers, since the start

    def start(self) -> None:
        """Deliver; the outbox is open already."""
        if self.notary is not None:
            with suppress(FullError):  # it is signed at a later look
                if (signed := self.notary.begin()) is not None:
                    self._tell_older(signed)
        if (saved := self.outbox.salvaged) is not None:
            detail = f"{self.outbox.path} was damaged and was moved to {saved.file} whole: {saved.words()}"
            log.error("outbox_set_aside", detail=detail)
            self.rows_lost = saved.lost
            self.keeper.told_salvage(
                self.events.row(
                    "outbox_set_aside",
                    "alarm",
                    detail,
                    moved_to=saved.file,
                    waiting=dict(saved.waiting),
                    delivered=saved.delivered,
                    lost=saved.lost,
                    lost_verdicts=saved.lost_verdicts,
                    lost_sequences=[list(span) for span in saved.lost_sequences],
                    changed=saved.changed,
                    next_sequence=saved.next_sequence,
                    cursors_lost=saved.cursors_lost,
                    lost_rows=[list(span) for span in saved.lost_rows],
                )
            )
        if self.outbox.unshrinkable is not None:
            log.warning("outbox_unshrinkable", detail=self.outbox.unshrinkable)
            self.keeper.note(self.events.row("outbox_unshrinkable", "warning", self.outbox.unshrinkable))
        self.link.start()
        self.courier.start()
        for gateway in self.gateways:
            self.outbox.when_committed(gateway.wake)
            gateway.start()

    def _tell_older(self, signed: ChainEnd) -> None:
        detail = (
            f"{self.outbox.path} ends before record {signed.number}, which this station has signed: it is an "
            "older copy. Records since then are not in it; another segment of the chain begins"
        )
        log.error("outbox_older", detail=detail)
        self.keeper.note(
            self.events.row(
                "outbox_older", "alarm", detail, segment=signed.segment, signed_number=signed.number
            )
        )

    def stop(self, last_words: bytes) -> None:
        """Deliver what waits, for a while, and close everything; the rest waits for the next start."""
        with ExitStack() as last:  # undone from the bottom up, whatever any of it raises
            last.callback(self.outbox.close)
            last.callback(self.keeper.close)
            last.callback(self.link.stop, last_words)
            last.callback(self.courier.stop)
            for gateway, cursor in zip(self.gateways, self.cursors, strict=True):
                last.callback(_close_behind, gateway, cursor)
            last.callback(self._stop_gateways)
            last.callback(self.outbox.about_to_close)
            last.callback(self._drain)

    def watch(self) -> Tidied:
        """Hold the outbox's bounds, raise the failure of any part, and tell of troubles that come and go."""
        if outbox_file.is_suspect(self.outbox.path):
            raise DamagedError(f"{self.outbox.path}: it was found damaged; the next start mends it")
        failures = [self.outbox.failure, self.courier.failure, self.link.failure]
        for failure in (*failures, *(gateway.failure for gateway in self.gateways)):
            if failure is not None:
                raise failure
        if self.link.silent_s() > HANG_S:
            raise LinkHungError(
                f"the MQTT thread has not moved for {HANG_S:.0f} s; the agent must be restarted"
            )
        try:
            return self._look()
        except FullError:  # the outbox says so and waits; what could not be noted is noted at a later look
            return Tidied()

    def words(self) -> tuple[str, ...]:
        """What is wrong, one sentence each, for the status and the page."""
        full = ("The outbox is full: it holds undelivered verdicts only",) if self.keeper.full else ()
        return (*full, *(trouble.detail for trouble in self.troubles.values()))

    def lacks(self) -> tuple[str, ...]:
        """What the broker does not do for us, one sentence each; the station works all the same."""
        return self.link.state.lacks

    def _look(self) -> Tidied:
        """Raises FullError when the disk takes no event."""
        done = self.keeper.tidy()
        for name, rows in done.skipped.items():
            detail = f"gateway {name} was so far behind that {rows} rows were deleted before it came to them"
            self.keeper.note(self.events.row("gateway_skipped", "alarm", detail, gateway=name, rows=rows))
        for lack in self.lacks():
            if lack not in self.lacks_told:
                self.keeper.note(self.events.row("broker_limited", "warning", f"the broker: {lack}"))
                self.lacks_told.add(lack)
        now = dict(self._troubles(self.courier.state))
        for key in now.keys() - self.troubles.keys():
            one = now[key]
            log.warning(one.event, detail=one.detail)
            self.keeper.note(self.events.row(one.event, one.severity, one.detail, **one.data))
        for key in self.troubles.keys() - now.keys():
            gone = self.troubles[key]
            if gone.over is not None:
                self.keeper.note(self.events.row(gone.over, "info", f"over: {gone.detail}", **gone.data))
        self.troubles = now
        if self.notary is not None:
            self.notary.look()
        return done

    def _troubles(self, state: CourierState) -> list[tuple[str, Trouble]]:
        found = []
        if self.unsigned is not None:
            detail = f"records are chained, and nobody signs for them: {self.unsigned}"
            found.append(("unsigned", Trouble(event="chain_unsigned", severity="warning", detail=detail)))
        if state.heard is False:
            detail = "the broker takes our verdicts, and nobody is subscribed to them; check the MES"
            found.append(("unheard", Trouble(event="no_subscriber", severity="warning", detail=detail)))
        if self.link.state.duplicate_client_id:
            detail = self.link.state.reason
            found.append(("twin", Trouble(event="duplicate_client_id", severity="alarm", detail=detail)))
        if self.link.state.oversized is not None:
            detail = self.link.state.oversized
            found.append(("oversized", Trouble(event="inbound_oversized", severity="warning", detail=detail)))
        for gateway in (one.state for one in self.gateways):
            if gateway.failing is not None:
                trouble = Trouble(
                    event="gateway_failing",
                    severity="warning",
                    detail=f"gateway {gateway.name}: {gateway.failing}",
                    data={"gateway": gateway.name},
                    over="gateway_recovered",
                )
                found.append((f"gateway {gateway.name}", trouble))
        return found

    def _stop_gateways(self) -> None:
        """All at once: each may have to be waited for."""
        with ThreadPoolExecutor(max(1, len(self.gateways))) as pool:
            list(pool.map(Gateway.stop, self.gateways))

    def _drain(self) -> None:
        if self.outbox.failure is not None or not self.outbox.settle(DRAIN_S):
            return
        if self.notary is not None:
            with suppress(FullError):  # it is signed within a minute of the next start
                self.notary.stop()
        ends_ns = self.clock.monotonic_ns() + round(DRAIN_S * 1e9)
        while self.link.state.connected and self.outbox.depth().rows and self.clock.monotonic_ns() < ends_ns:
            self.clock.sleep(0.05)


def _close_behind(gateway: Gateway, cursor: Cursor) -> None:
    if not gateway.left_behind:  # sqlite3 crashes when a connection is closed that is in use
        cursor.close()
