"""The digest that a row bears from its append on, over all that is sent of it and its place in the chain.

It finds what a disk, a memory or a careless hand has changed. It is not keyed: whoever can write the file
can make it anew, and is found out by the chain, whose head is signed (`agent/chain/`). A crop whose
properties name its sha256 is covered by that, and not read once more.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Sequence
from typing import Any, TypeAlias

from agent.contract.chain import LINK_BYTES, SEGMENT_BYTES
from agent.contract.row import KINDS, Changed, Row, Waiting
from agent.foreign import stored

DIGEST_BYTES = 16
Sealed: TypeAlias = tuple[str, int, str, str, str, int | None, bytes, int, bytes, bytes]
JSON = "application/json"
CROP = KINDS.index("crop")
COPIED_BYTES = 8192  # a payload below it is copied behind the head: one call in place of two
RECORD_COLUMNS = "id, class, topic, properties, content_type, sequence, payload, evict, digest, chain"
PLACE_BYTES = SEGMENT_BYTES + LINK_BYTES  # of `chain`: the segment, and the link of the row before
_PROPERTIES = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps makes an encoder for each call
_NAMED = re.compile(r'\["sha256","([0-9a-f]{64})"\]')  # a quote within a value is escaped
_BY_NAME = b"sha256 "  # no other head begins with a letter
_CHAINED = b"chain "
_TYPES: tuple[type | tuple[type, ...], ...] = (
    *(str, int, str, str, str, (int, type(None)), bytes, int),
    *(bytes, bytes),
)


def seal(row: Row) -> Sealed:
    """The content, head and payload's SHA-256 of a row that is about to be committed."""
    properties = _PROPERTIES(row.properties) if row.properties else "[]"
    number, evict = KINDS.index(row.kind), 0 if row.of_pass else 1
    head = _head(row.id, number, row.topic, properties, row.content_type, row.sequence, evict)
    content = content_digest(number, properties, row.payload)
    return (
        *(row.id, number, row.topic, properties, row.content_type, row.sequence, row.payload, evict),
        *(head, content),
    )


def content_digest(number: int, properties: str, payload: bytes) -> bytes:
    """The SHA-256 of a payload; of a crop's the one that its properties name."""
    named = named_sha256(number, properties)
    return hashlib.sha256(payload).digest() if named is None else bytes.fromhex(named)


def digest(place: bytes, content: bytes, head: bytes) -> bytes:
    """Of a record at its `place` in the chain, from its content's SHA-256 and its head."""
    return hashlib.sha256(_CHAINED + place + content + head).digest()[:DIGEST_BYTES]


def digest_of(content: Sequence[Any], place: bytes) -> bytes:
    """Of a record's columns, with `place` or from before there was a chain."""
    id_, number, topic, properties, content_type, sequence, payload, evict = content
    head = _head(id_, number, topic, properties, content_type, sequence, evict)
    if place:
        return digest(place, content_digest(number, properties, payload), head)
    if named_sha256(number, properties) is not None:
        return hashlib.sha256(_BY_NAME + head).digest()[:DIGEST_BYTES]
    return _digest_of_all(head, payload)


def is_digest(found: object, content: Sequence[Any], place: bytes) -> bool:
    """Whether these are the columns that it was made of; a crop of version 3 had its payload in it, too."""
    id_, number, topic, properties, content_type, sequence, payload, evict = content
    if found == digest_of(content, place):
        named = named_sha256(number, properties)
        return named is None or named == hashlib.sha256(payload).hexdigest()
    head = _head(id_, number, topic, properties, content_type, sequence, evict)
    return not place and found == _digest_of_all(head, payload)


def named_sha256(number: int, properties: str) -> str | None:
    """Of a crop's payload, where its properties as JSON say it."""
    found = _NAMED.search(properties) if number == CROP else None
    return None if found is None else found[1]


def _head(
    id_: str, number: int, topic: str, properties: str, content_type: str, sequence: int | None, evict: int
) -> bytes:
    """The lengths keep one text from passing for another."""
    return (
        f"{len(id_)} {number} {len(topic)} {len(properties)} {len(content_type)} {sequence} {evict}"
        f" {id_}{topic}{properties}{content_type}"
    ).encode(errors="surrogateescape")


def _digest_of_all(head: bytes, payload: bytes) -> bytes:
    if len(payload) < COPIED_BYTES:
        return hashlib.sha256(head + payload).digest()[:DIGEST_BYTES]
    found = hashlib.sha256(head)
    found.update(payload)
    return found.digest()[:DIGEST_BYTES]


def opened(database: sqlite3.Connection, seq: int, columns: Sequence[Any]) -> Waiting | Changed:
    """A row from RECORD_COLUMNS, or what it is that is not as it was committed."""
    if not _is_whole(database, seq, columns):
        id_, number, *_, sequence, _, _, _, _ = columns
        known = isinstance(number, int) and 0 <= number < len(KINDS)
        return Changed(
            seq=seq,
            kind=KINDS[number] if known else None,
            id=stored(id_) if isinstance(id_, str) else "?",
            sequence=sequence if isinstance(sequence, int) else None,
        )
    id_, number, topic, properties, content_type, sequence, payload, evict, _, place = columns
    row = Row(
        id=id_,
        kind=KINDS[number],
        topic=topic,
        payload=payload,
        content_type=content_type,
        properties=_pairs(properties),
        sequence=sequence,
        of_pass=number == 2 and evict == 0,
    )
    return Waiting(seq=seq, row=row, place=place)


def _pairs(properties: str) -> tuple[tuple[str, str], ...]:
    return () if properties == "[]" else tuple((name, value) for name, value in json.loads(properties))


def _is_whole(database: sqlite3.Connection, seq: int, columns: Sequence[Any]) -> bool:
    if not is_typed(columns):
        return False
    *content, found, place = columns
    if found == b"" and not place:
        (undigested,) = database.execute("SELECT undigested FROM progress").fetchone()
        return seq <= undigested and is_plausible(content)
    return is_digest(found, content, place)


def is_typed(columns: Sequence[Any]) -> bool:
    """Whether every one of RECORD_COLUMNS is of its type, and its place one of a chain or none."""
    return (
        len(columns) == len(_TYPES)
        and all(map(isinstance, columns, _TYPES))  # a generator costs three times as much
        and len(columns[-1]) in (0, PLACE_BYTES)
    )


def is_plausible(content: Sequence[Any]) -> bool:
    """Whether a row without a digest may be whole: it can be read, and a crop has the sha256 it names."""
    id_, number, topic, properties, content_type, _, payload, _ = content
    try:
        named = dict(json.loads(properties))
        "".join((id_, topic, content_type, *named, *named.values())).encode()
        if content_type == JSON and number != CROP:
            json.loads(payload)
    except (ValueError, TypeError):
        return False
    found = named.get("sha256")
    return 0 <= number < len(KINDS) and found in (None, hashlib.sha256(payload).hexdigest())
