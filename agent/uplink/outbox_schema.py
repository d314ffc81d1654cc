"""The tables of the outbox, and the way from every older schema to this one.

`record` is the log of everything that was committed, in its order. `waiting` has those rows of it
that the broker has not acknowledged, `history` those that it has and that are kept for replay and
for gateways. `cursor` is how far each gateway has come, `dead_letter` what somebody did not take,
`command` what was performed already. `tally` follows `waiting` by triggers, so that the depth costs
the same with a million rows waiting as with none, in any process.
"""

from __future__ import annotations

SCHEMA_VERSION = 2

_WAITING = """
CREATE TABLE waiting (
    seq INTEGER PRIMARY KEY,
    class INTEGER NOT NULL,
    size INTEGER NOT NULL,
    round INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX waiting_order ON waiting (class, seq);
"""

_TALLY_TRIGGERS = """
CREATE TRIGGER row_in AFTER INSERT ON waiting BEGIN
    UPDATE tally SET rows = rows + 1, bytes = bytes + NEW.size WHERE class = NEW.class;
END;
CREATE TRIGGER row_out AFTER DELETE ON waiting BEGIN
    UPDATE tally SET rows = rows - 1, bytes = bytes - OLD.size WHERE class = OLD.class;
END;
CREATE TRIGGER row_moved AFTER UPDATE OF class ON waiting BEGIN
    UPDATE tally SET rows = rows - 1, bytes = bytes - OLD.size WHERE class = OLD.class;
    UPDATE tally SET rows = rows + 1, bytes = bytes + NEW.size WHERE class = NEW.class;
END;
"""

_BESIDE = """
CREATE UNIQUE INDEX record_sequence ON record (sequence) WHERE sequence IS NOT NULL;
CREATE INDEX record_crops ON record (evict, seq) WHERE class = 2;
CREATE TABLE history (seq INTEGER PRIMARY KEY);
CREATE TABLE cursor (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE dead_letter (
    place TEXT NOT NULL,
    seq INTEGER NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    PRIMARY KEY (place, seq)
) WITHOUT ROWID;
CREATE TABLE command (id TEXT PRIMARY KEY, performed_ns INTEGER NOT NULL) WITHOUT ROWID;
"""

CREATE = f"""
BEGIN IMMEDIATE;
CREATE TABLE record (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    class INTEGER NOT NULL,
    topic TEXT NOT NULL,
    properties TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    sequence INTEGER,
    payload BLOB NOT NULL,
    evict INTEGER NOT NULL DEFAULT 1
);
{_WAITING}
CREATE TABLE tally (class INTEGER PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO tally VALUES (0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0);
{_TALLY_TRIGGERS}
CREATE TABLE progress (last_sequence INTEGER NOT NULL);
INSERT INTO progress VALUES (0);
{_BESIDE}
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""

# From the version before to this one. Version 1 deleted a row with its acknowledgement: all of it waits.
MIGRATIONS: dict[int, str] = {
    2: f"""
BEGIN IMMEDIATE;
DROP TRIGGER row_in;
DROP TRIGGER row_out;
DROP INDEX outbox_order;
ALTER TABLE outbox RENAME TO record;
ALTER TABLE record ADD COLUMN evict INTEGER NOT NULL DEFAULT 1;
{_WAITING}
INSERT INTO waiting (seq, class, size) SELECT seq, class, size FROM record;
INSERT INTO tally VALUES (3, 0, 0), (4, 0, 0);
{_TALLY_TRIGGERS}
{_BESIDE}
PRAGMA user_version = 2;
COMMIT;
""",
}
