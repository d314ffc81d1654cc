"""The digest that a row bears from its append on, over everything that is sent of it.

It finds what a disk, a memory or a careless hand has changed. It is not keyed: whoever can write the file can
read a key beside it, too.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from typing import Any, TypeAlias

from agent.contract.row import KINDS, Changed, Row, Waiting
from agent.foreign import stored

DIGEST_BYTES = 16
Sealed: TypeAlias = tuple[str, int, str, str, str, int | None, bytes, int, bytes]
JSON = "application/json"
RECORD_COLUMNS = "id, class, topic, properties, content_type, sequence, payload, evict, digest"
_TYPES: tuple[type | tuple[type, ...], ...] = (str, int, str, str, str, (int, type(None)), bytes, int, bytes)


def seal(row: Row) -> Sealed:
    """RECORD_COLUMNS of a row that is about to be committed."""
    properties = json.dumps(row.properties, separators=(",", ":"))
    content = (
        *(row.id, KINDS.index(row.kind), row.topic, properties, row.content_type),
        *(row.sequence, row.payload, 0 if row.of_pass else 1),
    )
    return (*content, digest(*content))


def digest(
    id_: str,
    number: int,
    topic: str,
    properties: str,
    content_type: str,
    sequence: int | None,
    payload: bytes,
    evict: int,
) -> bytes:
    """Of a record's columns. The lengths keep one text from passing for another."""
    head = (
        f"{len(id_)} {number} {len(topic)} {len(properties)} {len(content_type)} {sequence} {evict}"
        f" {id_}{topic}{properties}{content_type}"
    )
    found = hashlib.sha256(head.encode(errors="surrogateescape"))
    found.update(payload)
    return found.digest()[:DIGEST_BYTES]


def opened(database: sqlite3.Connection, seq: int, columns: Sequence[Any]) -> Waiting | Changed:
    """A row from RECORD_COLUMNS, or what it is that is not as it was committed."""
    if not _is_whole(database, seq, columns):
        id_, number, *_, sequence, _, _, _ = columns
        known = isinstance(number, int) and 0 <= number < len(KINDS)
        return Changed(
            seq=seq,
            kind=KINDS[number] if known else None,
            id=stored(id_) if isinstance(id_, str) else "?",
            sequence=sequence if isinstance(sequence, int) else None,
        )
    id_, number, topic, properties, content_type, sequence, payload, evict, _ = columns
    row = Row(
        id=id_,
        kind=KINDS[number],
        topic=topic,
        payload=payload,
        content_type=content_type,
        properties=tuple((name, value) for name, value in json.loads(properties)),
        sequence=sequence,
        of_pass=number == 2 and evict == 0,
    )
    return Waiting(seq=seq, row=row)


def _is_whole(database: sqlite3.Connection, seq: int, columns: Sequence[Any]) -> bool:
    if not is_typed(columns):
        return False
    *content, found = columns
    if found == b"":
        (undigested,) = database.execute("SELECT undigested FROM progress").fetchone()
        return seq <= undigested and is_plausible(content)
    return bool(found == digest(*content))


def is_typed(columns: Sequence[Any]) -> bool:
    """Whether every one of RECORD_COLUMNS is of its type."""
    return all(isinstance(value, types) for value, types in zip(columns, _TYPES, strict=True))


def is_plausible(content: Sequence[Any]) -> bool:
    """Whether a row without a digest may be whole: it can be read, and a crop has the sha256 it names."""
    id_, number, topic, properties, content_type, _, payload, _ = content
    try:
        named = dict(json.loads(properties))
        "".join((id_, topic, content_type, *named, *named.values())).encode()
        if content_type == JSON and number != KINDS.index("crop"):
            json.loads(payload)
    except (ValueError, TypeError):
        return False
    found = named.get("sha256")
    return 0 <= number < len(KINDS) and found in (None, hashlib.sha256(payload).hexdigest())
