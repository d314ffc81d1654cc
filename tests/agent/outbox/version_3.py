"""An outbox of this version as version 3 of the schema had it."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

_BACK = """
BEGIN IMMEDIATE;
DROP TRIGGER replay_in;
CREATE TRIGGER row_in AFTER INSERT ON waiting BEGIN
    UPDATE tally SET rows = rows + 1, bytes = bytes + NEW.size WHERE class = NEW.class;
END;
ALTER TABLE record DROP COLUMN chain;
DROP TABLE chain;
DROP TABLE gone;
PRAGMA user_version = 3;
COMMIT;
"""


def turn_back(path: Path) -> None:
    """Nobody may have the file open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(_BACK)
        for seq, *content in database.execute(
            "SELECT seq, id, class, topic, properties, content_type, sequence, payload, evict FROM record"
        ).fetchall():
            database.execute("UPDATE record SET digest = ? WHERE seq = ?", (_digest(*content), seq))


def _digest(
    id_: str,
    number: int,
    topic: str,
    properties: str,
    content_type: str,
    sequence: int | None,
    payload: bytes,
    evict: int,
) -> bytes:
    head = (
        f"{len(id_)} {number} {len(topic)} {len(properties)} {len(content_type)} {sequence} {evict}"
        f" {id_}{topic}{properties}{content_type}"
    )
    return hashlib.sha256(head.encode() + payload).digest()[:16]
