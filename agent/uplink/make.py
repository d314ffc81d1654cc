"""A station's uplink, made and joined: outbox, link, courier, gateways and notary."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import time
from functools import partial
from pathlib import Path

from agent.chain.notary import Notary
from agent.clock import Clock, uuid7_after
from agent.contract.events import EventMaker
from agent.contract.row import Changed, Row
from agent.contract.topics import Topics
from agent.gateways.binding import Binder
from agent.gateways.gateway import Gateway, Unacceptable
from agent.gateways.make import make_sink
from agent.outbox.cursor import Cursor
from agent.outbox.database import Database
from agent.outbox.file import BROKER
from agent.outbox.keeper import Keeper
from agent.outbox.outbox import Outbox
from agent.outbox.spool import DAY_S, Limits
from agent.settings import settings
from agent.trust.keys import KeyFileError
from agent.trust.private_keys import station_key
from agent.uplink.courier import Courier
from agent.uplink.mqtt.intake import TurnAway
from agent.uplink.mqtt.link import MqttLink
from agent.uplink.shipment import Refusal
from agent.uplink.uplink import Uplink


def make_uplink(
    wanted: settings.Settings,
    *,
    boot_id: str,
    last_will: bytes,
    clock: Clock,
    new_id: Callable[[], str],
    turn_away: TurnAway,
    bind: Binder,
    key: Path | None = None,
) -> Uplink:
    """Open the outbox and make the rest; `bind` takes what the field writes. Raises OutboxError.

    `key` is the file of the station's key, which is made where there is none; without one nothing is signed.
    """
    identity = wanted.identity
    topics = Topics(site=identity.site, area=identity.area, line=identity.line, station=identity.station)
    events = EventMaker(topics, boot_id=boot_id, clock=clock, new_id=new_id)
    database = Database(wanted.outbox.path, clock=clock)
    outbox = Outbox(database)
    outbox.open()
    try:
        if (last_id := outbox.last_id()) is not None:
            uuid7_after(clock, last_id)
        keeper = _keeper(database, wanted.outbox, events, clock)
        database.when_changed(lambda changed: _changed(events, changed))
        link = MqttLink(
            wanted.mqtt,
            topics=topics,
            last_will=last_will,
            clock=clock,
            rng=random.Random(boot_id),
            turn_away=turn_away,
            documents=topics.documents(wanted.remote.groups),
        )
        courier = Courier(
            outbox,
            link,
            clock=clock,
            window=wanted.mqtt.window,
            rules=wanted.delivery,
            report=lambda refusal: _refused(keeper, events, refusal),
        )
        cursors = tuple(Cursor(database, one.name) for one in wanted.gateways)
        for cursor in cursors:
            cursor.open()
        keeper.keep_cursors([one.name for one in wanted.gateways])
        notary, unsigned = None, None
        if key is not None:
            try:
                notary = Notary(
                    keeper,
                    station_key(key),
                    path=database.path,
                    topics=topics,
                    boot_id=boot_id,
                    clock=clock,
                    new_id=new_id,
                    shift_starts=[time.fromisoformat(start) for start in wanted.page.shift_starts],
                    salvaged=database.salvaged,
                )
            except KeyFileError as error:
                unsigned = str(error)
        gateways = tuple(
            Gateway(
                one.name,
                cursor,
                make_sink(
                    one,
                    topics=topics,
                    cameras=[camera.name for camera in wanted.cameras],
                    rules=wanted.part_cameras(),
                    clock=clock,
                    interlock=lambda: keeper.full,
                    bind=bind,
                ),
                clock=clock,
                rng=random.Random(f"{boot_id} {one.name}"),
                on_unacceptable=partial(_unacceptable, keeper, events, one.name),
            )
            for one, cursor in zip(wanted.gateways, cursors, strict=True)
        )
        return Uplink(
            clock=clock,
            events=events,
            outbox=outbox,
            keeper=keeper,
            link=link,
            courier=courier,
            cursors=cursors,
            gateways=gateways,
            notary=notary,
            unsigned=unsigned,
        )
    except BaseException:
        outbox.close()  # the next try may have it
        raise


def _keeper(database: Database, bounds: settings.Outbox, events: EventMaker, clock: Clock) -> Keeper:
    """Open."""
    keeper = Keeper(
        database,
        limits=Limits(
            max_bytes=bounds.max_bytes,
            min_free_bytes=bounds.min_free_bytes,
            history_s=bounds.history_days * DAY_S,
            crop_age_s=bounds.crop_age_days * DAY_S,
        ),
        hold_when_full=bounds.when_full == "hold",
        events=events,
        clock=clock,
    )
    keeper.open()
    return keeper


def _refused(keeper: Keeper, events: EventMaker, refusal: Refusal) -> None:
    """The broker did not take a row."""
    event, severity = "row_refused", "warning"
    if refusal.quarantined:
        event, severity = "row_quarantined", "alarm"
    detail = f"{refusal.kind} {refusal.seq} of the outbox: {refusal.reason}"
    told = events.row(event, severity, detail, seq=refusal.seq, kind=refusal.kind)  # type: ignore[arg-type]
    keeper.refused(BROKER, refusal.seq, refusal.reason, told)


def _unacceptable(keeper: Keeper, events: EventMaker, gateway: str, row: Unacceptable) -> None:
    """A gateway's server will never take a row."""
    detail = f"gateway {gateway} will never take row {row.seq}: {row.reason}"
    told = events.row("row_refused", "warning", detail, gateway=gateway, seq=row.seq)
    keeper.refused(gateway, row.seq, row.reason, told)


def _changed(events: EventMaker, changed: Changed) -> Row:
    detail = f"{changed.words()} is not what was committed: it is kept apart and not sent"
    return events.row(
        "row_changed",
        "alarm",
        detail,
        seq=changed.seq,
        kind=changed.kind,
        id=changed.id,
        sequence=changed.sequence,
    )
