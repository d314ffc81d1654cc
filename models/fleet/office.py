"""The office at work: inventory, keys and folder opened, the broker reached, one rollout carried on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.bundle.bundle import Bundle, open_bundle
from agent.bundle.trust import require_signed
from agent.clock import Clock
from agent.contract.desired import HttpsSource, MqttSource
from agent.contract.inbound import Inbound
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.trust.private_keys import load_private_key
from agent.trust.trust_set import TrustSet, load_trust
from agent.uplink.mqtt.connection import Connection
from models.fleet import waves
from models.fleet.begin import Wish, begun, without_way_back
from models.fleet.chunks import ASKED
from models.fleet.conduct import Conductor, Office
from models.fleet.documents import Content
from models.fleet.hall import FILTERS, Hall
from models.fleet.inventory import Inventory
from models.fleet.ledger import Ledger
from models.fleet.plan import Record
from models.fleet.wire import Wire

TURN_S = 0.1


class NothingThere(PlumblineError):
    """No rollout was begun, or none that this can be done with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a command was given; opened and checked before anybody is reached."""

    inventory: Inventory
    trust: TrustSet
    keys: tuple[Ed25519PrivateKey, ...]
    ledger: Ledger
    clock: Clock
    say: Callable[[str], None]


def opened(inventory: Inventory, keys: Sequence[Path], *, clock: Clock, say: Callable[[str], None]) -> Room:
    """Raises TrustError and KeyFileError."""
    return Room(
        inventory=inventory,
        trust=load_trust(inventory.trust),
        keys=tuple(load_private_key(path) for path in keys),
        ledger=Ledger(folder=inventory.state),
        clock=clock,
        say=say,
    )


@contextmanager
def connected(
    room: Room, serve: Callable[[Inbound, Connection], None] | None = None
) -> Iterator[tuple[Hall, Wire]]:
    """The broker, when all that stands there has been heard. Raises WireError.

    `serve` gets what stations ask for of bundles.
    """
    hall = Hall(inventory=room.inventory)

    def note(inbound: Inbound, connection: Connection) -> None:
        now = room.clock.utc_now().timestamp()
        if not hall.note(inbound.topic, inbound.payload, now) and serve is not None:
            serve(inbound, connection)

    wire = Wire(
        room.inventory.mqtt,
        issuer=room.inventory.issuer,
        filters=FILTERS if serve is None else (*FILTERS, ASKED),
        note=note,
        clock=room.clock,
        rng=random.Random(),
    )
    try:
        while not wire.is_ready:
            wire.turn(TURN_S)
        yield hall, wire
    finally:
        wire.close()


def begin(room: Room, wish: Wish, hall: Hall, wire: Wire) -> Record:
    """A new rollout, to where it ends or stops. The ledger is held."""
    record = begun(wish, hall, room.ledger, epoch=room.trust.epoch, clock=room.clock)
    lacking = without_way_back(record)
    if lacking:
        room.say(
            f"no way back is known for {len(lacking)} of {len(record.members)}, such as {lacking[0]}: what "
            "it runs was not said from here"
        )
    conductor = _conductor(room, hall, wire, record)
    conductor.begin()
    return _carried(conductor, room)


def resume(room: Room, hall: Hall, wire: Wire, *, although_stopped: bool) -> Record:
    """Go on with the latest rollout. Raises NothingThere where it was stopped, or is at its end."""
    record = _latest(room.ledger)
    conductor = _conductor(room, hall, wire, record)
    if record.state == "stopped" and although_stopped:
        conductor.change(waves.resumed)
    final = _carried(conductor, room)
    if record.state == "stopped" and not although_stopped:
        raise NothingThere(
            f"the rollout of {record.began_at} was stopped: {record.why}; go on all the same with --stopped, "
            "or take it back with plumbline-lab fleet back"
        )
    return final


def stop(room: Room, hall: Hall, wire: Wire) -> Record:
    """The latest rollout says nothing new any more."""
    record = _latest(room.ledger)
    if record.state in ("finished", "taken_back"):
        raise NothingThere(
            f"the rollout of {record.began_at} is {record.state}; plumbline-lab fleet back takes one back"
        )
    conductor = _conductor(room, hall, wire, record)
    if record.state == "running":
        conductor.change(waves.stopped, "by hand")
    return _carried(conductor, room)


def back(room: Room, hall: Hall, wire: Wire) -> Record:
    """Everybody whom the latest rollout told something is told what was before."""
    record = _latest(room.ledger)
    conductor = _conductor(room, hall, wire, record)
    if record.state != "taken_back":
        conductor.change(waves.taken_back)
    return _carried(conductor, room)


def bundle_content(
    path: Path, sources: Sequence[str], trust: TrustSet, *, name: str, is_served: bool, boundary: str
) -> tuple[Content, Bundle]:
    """What a document says of the bundle at `path`, which the stations' trust file takes.

    Raises PlumblineError.
    """
    bundle = open_bundle(path)
    require_signed(bundle, trust, name=name)
    found: list[dict[str, str]] = []
    for source in sources:
        if source.startswith("https://"):
            found.append(HttpsSource(kind="https", url=source).model_dump(mode="json"))
        elif "://" in source:
            raise PlumblineError(
                f"--source {shown(source)[:80]}: give https://..., or a folder of the stations"
            )
        else:
            found.append({"kind": "folder", "path": source})
    if is_served:
        found.append(MqttSource(kind="mqtt").model_dump(mode="json"))
    if not found:
        raise PlumblineError(
            f"{shown(str(path))}: where do stations get it from? Give --source, or --serve for pieces "
            "through the broker"
        )
    size = sum(len(one) for one in bundle.files.values())
    target = {"id": bundle.manifest.name, "sha256": bundle.sha256, "size_bytes": size}
    return {"target": target, "sources": found, "boundary": boundary}, bundle


def _conductor(room: Room, hall: Hall, wire: Wire, record: Record) -> Conductor:
    office = Office(
        ledger=room.ledger,
        keys=room.keys,
        trust=room.trust,
        name=shown(str(room.inventory.trust)),
        clock=room.clock,
        say=room.say,
    )
    if record.epoch != room.trust.epoch:
        raise NothingThere(
            f"the rollout of {record.began_at} is of epoch {record.epoch}, and the trust file of epoch "
            f"{room.trust.epoch}: stations have forgotten it; begin another"
        )
    return Conductor(office, hall, wire, record)


def _carried(conductor: Conductor, room: Room) -> Record:
    record = conductor.run()
    for address in conductor.untold():
        room.say(f"{address}: somebody else's document stands there, and was left")
    return record


def _latest(ledger: Ledger) -> Record:
    record = ledger.latest()
    if record is None:
        raise NothingThere(f"{shown(str(ledger.folder))}: no rollout was begun from here")
    return record
