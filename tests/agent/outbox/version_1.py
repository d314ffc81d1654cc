"""An outbox as version 1 of the schema wrote it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.agent.outbox.rows import TOPICS

_SCHEMA = """
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    class INTEGER NOT NULL,
    topic TEXT NOT NULL,
    properties TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    sequence INTEGER,
    payload BLOB NOT NULL
);
CREATE INDEX outbox_order ON outbox (class, seq);
CREATE TABLE tally (class INTEGER PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO tally VALUES (0, 0, 0), (1, 0, 0), (2, 0, 0);
CREATE TRIGGER row_in AFTER INSERT ON outbox BEGIN
    UPDATE tally SET rows = rows + 1, bytes = bytes + NEW.size WHERE class = NEW.class;
END;
CREATE TRIGGER row_out AFTER DELETE ON outbox BEGIN
    UPDATE tally SET rows = rows - 1, bytes = bytes - OLD.size WHERE class = OLD.class;
END;
CREATE TABLE progress (last_sequence INTEGER NOT NULL);
INSERT INTO progress VALUES (0);
PRAGMA user_version = 1;
COMMIT;
"""


def write(path: Path, *, delivered: int, waiting: int) -> None:
    """Verdicts 1 to `delivered` are gone, the next `waiting` wait, each with a crop."""
    database = sqlite3.connect(path)
    database.executescript(_SCHEMA)
    for sequence in range(1, delivered + waiting + 1):
        rows = [
            (f"verdict-{sequence}", 0, TOPICS.verdict("top"), b'{"sequence":%d}' % sequence, sequence),
            (f"crop-{sequence}", 2, TOPICS.crop("top"), b"." * 500, None),
        ]
        for id_, number, topic, payload, its_sequence in rows:
            database.execute(
                """INSERT INTO outbox (id, class, topic, properties, content_type, size, created_ns, sequence,
                payload) VALUES (?, ?, ?, '[]', 'application/json', ?, 0, ?, ?)""",
                (id_, number, topic, len(payload), its_sequence, payload),
            )
    database.execute("DELETE FROM outbox WHERE seq <= ?", (2 * delivered,))
    database.execute("UPDATE progress SET last_sequence = ?", (delivered + waiting,))
    database.commit()
    database.close()
