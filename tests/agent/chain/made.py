"""Stations whose records are chained: in memory as their messages, or in an outbox with its keeper."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.chain.notary import Notary
from agent.clock import ManualClock
from agent.contract.chain import BEGINNING, Chained, borne, digest
from agent.contract.events import EventMaker
from agent.contract.head import HEAD_TYPE, ChainEnd, HeadStatement, Reason, head_of
from agent.contract.payloads import JSON, crop_row, encode
from agent.contract.row import Row
from agent.outbox.database import Database
from agent.outbox.keeper import Keeper
from agent.outbox.outbox import Outbox
from agent.outbox.spool import Limits
from agent.trust.envelope import encoding
from agent.trust.keys import key_id
from tests.agent.outbox.rows import TOPICS

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
_IDS = itertools.count()
WHEN = "2026-11-24T12:00:00.000Z"


def verdict_payload(sequence: int, *, crops: tuple[bytes, ...] = (), boot_id: str = "boot") -> bytes:
    """As much of a verdict as the chain looks at, and a little more."""
    defects = [
        {"index": index, "crop": {"crop_id": f"crop-{sequence}-{index}", "sha256": sha256(crop)}}
        for index, crop in enumerate(crops)
    ]
    message = {
        "schema": "plumbline.verdict/1",
        "result_id": f"verdict-{sequence}",
        "sequence": sequence,
        "boot_id": boot_id,
        "station": TOPICS.station,
        "verdict": "fail" if crops else "pass",
        "replayed": False,
        "defects": defects,
    }
    return json.dumps(message, separators=(",", ":")).encode()


def event_payload(number: int, *, boot_id: str = "boot") -> bytes:
    message = {"schema": "plumbline.event/1", "event_id": f"event-{number}", "boot_id": boot_id}
    return json.dumps({**message, "station": TOPICS.station}, separators=(",", ":")).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def signed_head(
    end: Chained, *, key: Ed25519PrivateKey = KEY, reason: Reason = "minute", **more: Any
) -> bytes:
    """The content of a head that signs for what is in front of its own place."""
    statement = HeadStatement(
        head_id=f"head-{end.number}",
        station=TOPICS.station,
        boot_id="boot",
        created=WHEN,
        clock_synced=None,
        reason=reason,
        segment=end.segment.hex(),
        number=end.number - 1,
        link=end.previous.hex(),
        first=1,
        key=key.public_key().public_bytes_raw().hex(),
        **more,
    )
    signature = key.sign(encoding(encode(statement), HEAD_TYPE))
    return encode(head_of(statement, keyid=key_id(key.public_key()), signature=signature))


@dataclass(slots=True)
class Station:
    """Its messages of JSON in the order of the chain; pictures are in it and stand apart."""

    segment: bytes = b"segment1"
    number: int = 0
    link: bytes = BEGINNING
    sequence: int = 0
    messages: list[bytes] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)

    @property
    def place(self) -> Chained:
        return Chained(segment=self.segment, number=self.number + 1, previous=self.link)

    def _take(self, content: bytes) -> Chained:
        place = self.place
        self.number, self.link = place.number, place.link(digest(content))
        return place

    def say(self, content: bytes) -> None:
        self.messages.append(borne(content, self._take(content).words()))

    def verdict(self, *crops: bytes) -> None:
        self.sequence += 1
        self.say(verdict_payload(self.sequence, crops=crops))
        for index, crop in enumerate(crops):
            self.pictures[f"crop-{self.sequence}-{index}"] = crop
            self._take(crop)

    def event(self) -> None:
        self.say(event_payload(self.number))

    def head(self, **more: Any) -> None:
        self.say(signed_head(self.place, **more))

    def end(self) -> ChainEnd:
        return ChainEnd(segment=self.segment.hex(), number=self.number, link=self.link.hex())


def a_day(segment: bytes = b"segment1") -> Station:
    """A few minutes of a station: verdicts with and without pictures, events, heads."""
    made = Station(segment=segment)
    made.head(reason="begun")
    for number in range(1, 13):
        made.verdict(*(b"picture %d" % index for index in range(number % 3)))
        if number % 4 == 0:
            made.event()
        if number % 5 == 0:
            made.head()
    made.head(reason="stop")
    return made


@dataclass(slots=True, kw_only=True)
class Kept:
    """An open outbox with its keeper and its notary."""

    path: Path
    clock: ManualClock
    database: Database
    outbox: Outbox
    keeper: Keeper
    notary: Notary
    sequence: int

    def judge(self, *crops: bytes) -> None:
        """A verdict with its crops is committed."""
        self.sequence += 1
        payload = verdict_payload(self.sequence, crops=crops)
        row = Row(
            id=f"verdict-{self.sequence}",
            kind="verdict",
            topic=TOPICS.verdict("top"),
            payload=payload,
            content_type=JSON,
            properties=_attributes(f"verdict-{self.sequence}", "verdict"),
            sequence=self.sequence,
        )
        pictures = [
            crop_row(
                TOPICS,
                camera="top",
                crop_id=f"crop-{self.sequence}-{index}",
                result_id=f"verdict-{self.sequence}",
                defect_index=index,
                bbox_px=(1, 2, 3, 4),
                image=crop,
                sha256=sha256(crop),
                content_type="image/jpeg",
                created=self.clock.utc_now(),
            )
            for index, crop in enumerate(crops)
        ]
        self.outbox.append([row, *pictures]).result(30)

    def deliver(self, limit: int) -> None:
        self.outbox.delivered([one.seq for one in self.outbox.lease(limit)])

    def close(self) -> None:
        self.keeper.close()
        self.outbox.close()


def _new_id() -> str:
    """Another one for every start in this process, too."""
    return f"id-{next(_IDS)}"


def _attributes(id_: str, kind: str) -> tuple[tuple[str, str], ...]:
    return (("id", id_), ("type", f"plumbline.{kind}/1"), ("time", WHEN))


def kept(
    path: Path,
    *,
    limits: Limits | None = None,
    clock: ManualClock | None = None,
    key: Ed25519PrivateKey = KEY,
    shift_starts: tuple[time, ...] = (),
) -> Kept:
    """Open what is at `path`, which is mended where it must be, and sign where a segment begins."""
    clock = clock or ManualClock()
    database = Database(path, clock=clock)
    outbox = Outbox(database)
    outbox.open()
    begun = outbox.last_sequence()
    keeper = Keeper(
        database,
        limits=limits or Limits(),
        hold_when_full=False,
        events=EventMaker(TOPICS, boot_id="boot", clock=clock, new_id=_new_id),
        clock=clock,
        disk_free_bytes=lambda folder: 1 << 40,
    )
    keeper.open()
    notary = Notary(
        keeper,
        key,
        path=path,
        topics=TOPICS,
        boot_id="boot",
        clock=clock,
        new_id=_new_id,
        shift_starts=shift_starts,
        salvaged=database.salvaged,
    )
    notary.begin()
    return Kept(
        path=path,
        clock=clock,
        database=database,
        outbox=outbox,
        keeper=keeper,
        notary=notary,
        sequence=begun,
    )
