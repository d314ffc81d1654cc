"""What a chain is checked by: one entry for each record that is there, or whose digest is. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent.contract import chain
from agent.contract.chain import Chained
from agent.contract.head import SCHEMA as HEAD_SCHEMA
from agent.foreign import shown

VERDICT_SCHEMA = "plumbline.verdict/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A crop as its verdict names it."""

    crop_id: str
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record at its place in the chain; `digest` is the SHA-256 of its content as it stands there now."""

    where: str  # file and line, or row
    chained: Chained
    digest: bytes
    kind: str  # verdict, event, crop, ...; of a record that left: what it was
    station: str | None = None
    topic: str | None = None  # of its station, where that is kept beside the record
    sequence: int | None = None  # of a verdict
    boot_id: str | None = None
    head: bytes | None = None  # content of a head, to be verified
    pictures: tuple[Picture, ...] = ()  # that come directly behind it
    gone: bool = False  # it left, and its digest was kept
    problem: str | None = None  # why it is not what was committed, whatever the chain says

    @property
    def link(self) -> bytes:
        return self.chained.link(self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchained:
    """A record without a place in a chain: of before there was one, or put in by somebody."""

    where: str
    kind: str
    station: str | None
    sequence: int | None
    boot_id: str | None


def of_payload(payload: bytes, where: str) -> Entry | Unchained:
    """A record of JSON as it was published. Raises ValueError for what is none.

    One that has a place in the chain and is no JSON any more is an entry all the same: the chain tells of it.
    """
    content, place = chain.parted(payload)
    message: dict[str, Any] = {}
    problem = None
    try:
        message = _message(content)
    except ValueError as error:
        if place is None:
            raise
        problem = f"it cannot be read: {shown(str(error))}"
    schema = _text(message.get("schema")) or ""
    kind = schema.removeprefix("plumbline.").partition("/")[0]
    sequence = _number(message.get("sequence")) if schema == VERDICT_SCHEMA else None
    station, boot_id = _text(message.get("station")), _text(message.get("boot_id"))
    if place is None:
        return Unchained(where=where, kind=kind, station=station, sequence=sequence, boot_id=boot_id)
    return Entry(
        where=where,
        chained=place,
        digest=chain.digest(content),
        kind=kind or "unreadable",
        station=station,
        sequence=sequence,
        boot_id=boot_id,
        head=content if schema == HEAD_SCHEMA else None,
        pictures=tuple(_pictures(message)) if schema == VERDICT_SCHEMA else (),
        problem=problem,
    )


def _message(content: bytes) -> dict[str, Any]:
    try:
        message = json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(message, dict) or not isinstance(message.get("schema"), str):
        raise ValueError("it has no schema")
    return message


def _pictures(verdict: dict[str, Any]) -> Iterator[Picture]:
    """In the order in which they are records; whether a verdict did say so, its own digest tells."""
    defects = verdict.get("defects")
    named = [one.get("crop") for one in defects if isinstance(one, dict)] if isinstance(defects, list) else []
    for crop in (*named, verdict.get("sample")):
        if isinstance(crop, dict):
            try:
                yield Picture(crop_id=str(crop["crop_id"]), sha256=bytes.fromhex(crop["sha256"]))
            except (KeyError, TypeError, ValueError):
                continue


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> int | None:
    return value if type(value) is int else None
