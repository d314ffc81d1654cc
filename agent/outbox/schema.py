"""The tables of the outbox, and the way from every older schema to this one.

`record` is the log of everything that was committed, in its order. `waiting` has those rows of it
that the broker has not acknowledged, `history` those that it has and that are kept for replay and
for gateways. `cursor` is how far each gateway has come, `dead_letter` what somebody did not take,
`command` what was performed already. `tally` counts `waiting`: an append adds its rows in its own
transaction, triggers do the rest. `cursor.rows` counts what lies behind each cursor. So the depth costs the
same with a million rows waiting as with none, in any process. `age` is the outbox's own time (`age.py`),
`salvage` what was saved from a damaged file and is still to be told.

A record's `digest` is over all that is sent of it (`seal.py`), over a crop's payload by the sha256 it
names. Its place in the chain is `record.chain`, the chain's end the table `chain`; `gone` keeps the digests
of rows that left before older ones (`chain.py`). Rows of before there was a chain have no place in it. Rows
up to `progress.undigested` were committed before there were digests.
"""

from __future__ import annotations

SCHEMA_VERSION = 5

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

_SINCE_VERSION_3 = """
ALTER TABLE record ADD COLUMN digest BLOB NOT NULL DEFAULT x'';
ALTER TABLE record ADD COLUMN lived_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN undigested INTEGER NOT NULL DEFAULT 0;
UPDATE progress SET undigested = (SELECT COALESCE(MAX(seq), 0) FROM record);
ALTER TABLE cursor ADD COLUMN rows INTEGER NOT NULL DEFAULT 0;
UPDATE cursor SET rows = (SELECT COUNT(*) FROM record WHERE record.seq > cursor.seq);
UPDATE command SET performed_ns = performed_ns - (SELECT 1 + MAX(performed_ns) FROM command);
CREATE TRIGGER record_out AFTER DELETE ON record BEGIN
    UPDATE cursor SET rows = rows - 1 WHERE seq < OLD.seq;
END;
CREATE TABLE age (
    boot TEXT NOT NULL,
    monotonic_ns INTEGER NOT NULL,
    wall_ns INTEGER NOT NULL,
    synced INTEGER NOT NULL,
    lived_ns INTEGER NOT NULL
);
INSERT INTO age VALUES ('', 0, 0, 0, 0);
CREATE TABLE salvage (report TEXT NOT NULL);
"""

# An append counts its own rows; any other row that begins to wait was delivered before.
_SINCE_VERSION_4 = """
DROP TRIGGER row_in;
CREATE TRIGGER replay_in AFTER INSERT ON waiting WHEN NEW.class = 3 BEGIN
    UPDATE tally SET rows = rows + 1, bytes = bytes + NEW.size WHERE class = 3;
END;
"""

_SINCE_VERSION_5 = """
ALTER TABLE record ADD COLUMN chain BLOB NOT NULL DEFAULT x'';
CREATE TABLE chain (
    segment BLOB NOT NULL,
    number INTEGER NOT NULL,
    link BLOB NOT NULL,
    first INTEGER NOT NULL
);
INSERT INTO chain SELECT randomblob(8), last, zeroblob(32), last + 1 FROM
    (SELECT COALESCE((SELECT MAX(seq) FROM sqlite_sequence WHERE name = 'record'), 0) AS last);
CREATE TABLE gone (
    seq INTEGER PRIMARY KEY,
    class INTEGER NOT NULL,
    sequence INTEGER,
    chain BLOB NOT NULL,
    digest BLOB NOT NULL
);
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
{_SINCE_VERSION_3}
{_SINCE_VERSION_4}
{_SINCE_VERSION_5}
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
    3: f"""
BEGIN IMMEDIATE;
{_SINCE_VERSION_3}
PRAGMA user_version = 3;
COMMIT;
""",
    4: f"""
BEGIN IMMEDIATE;
{_SINCE_VERSION_4}
PRAGMA user_version = 4;
COMMIT;
""",
    5: f"""
BEGIN IMMEDIATE;
{_SINCE_VERSION_5}
PRAGMA user_version = 5;
COMMIT;
""",
}

# All that is in a file of this version, but for what SQLite makes by itself.
NAMES = frozenset(
    {
        *("record", "waiting", "history", "cursor", "dead_letter", "command", "tally", "progress", "age"),
        *("salvage", "chain", "gone", "waiting_order", "record_sequence", "record_crops"),
        *("replay_in", "row_out", "row_moved", "record_out"),
    }
)

# What each version added: a file that has it and says that it is older is damaged.
ADDED: dict[int, frozenset[str]] = {
    3: frozenset({"age", "salvage", "record_out"}),
    4: frozenset({"replay_in"}),
    5: frozenset({"chain", "gone"}),
}
