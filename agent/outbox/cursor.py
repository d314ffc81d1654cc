"""How far a gateway has come in the outbox's log; each has its own, so none holds another."""

from __future__ import annotations

import itertools
from typing import cast

from agent.contract.row import Changed, Waiting
from agent.outbox import chain
from agent.outbox.database import Database
from agent.outbox.file import START
from agent.outbox.seal import RECORD_COLUMNS
from agent.outbox.seal import opened as row_of
from agent.outbox.waiting import PASSED_BY_ALL


class Cursor:
    """The place of the gateway `name`, durable; for one thread. A new one starts at the log's end.

    Every method raises OutboxError when the file does not take part.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name

    def open(self) -> None:
        """The database must have been opened."""
        self._connection = self._database.connect("NORMAL")
        with self._database.write(self._connection):
            self._connection.execute(
                """INSERT OR IGNORE INTO cursor (name, seq, rows)
                SELECT ?, start, (SELECT COUNT(*) FROM record WHERE seq > start) FROM (SELECT COALESCE(
                (SELECT seq FROM cursor WHERE name = ?), (SELECT MAX(seq) FROM record), 0) AS start)""",
                (self._name, START),
            )
            found = self._connection.execute("SELECT seq FROM cursor WHERE name = ?", (self._name,))
            self._seq = int(found.fetchone()[0])

    def next(self, limit: int) -> tuple[Waiting, ...]:
        """The rows after the cursor, in the order of commits. A changed one is put aside and passed."""
        query = f"SELECT seq, {RECORD_COLUMNS} FROM record WHERE seq > ? ORDER BY seq LIMIT ?"
        while True:
            with self._database.explained():
                found = self._connection.execute(query, (self._seq, limit)).fetchall()
                rows = [row_of(self._connection, seq, columns) for seq, *columns in found]
            good = tuple(itertools.takewhile(lambda row: isinstance(row, Waiting), rows))
            if good or not rows:
                return cast(tuple[Waiting, ...], good)
            changed = cast(Changed, rows[0])
            self._database.put_aside(changed, self._connection)
            self.advance(changed.seq)

    def advance(self, seq: int) -> None:
        """Everything up to `seq` is delivered; crops that the broker and all gateways have leave the log.

        Waits for room on a full disk.
        """
        self._database.persist(lambda: self._advance(seq), self._connection)
        self._seq = seq

    def close(self) -> None:
        self._connection.close()

    def _advance(self, seq: int) -> None:
        self._connection.execute(
            """UPDATE cursor SET seq = ?1, rows =
            rows - (SELECT COUNT(*) FROM record WHERE seq > cursor.seq AND seq <= ?1) WHERE name = ?2""",
            (seq, self._name),
        )
        done = self._connection.execute(
            f"""SELECT history.seq FROM history JOIN record ON record.seq = history.seq
            WHERE history.seq > ? AND history.seq <= {PASSED_BY_ALL} AND class = 2""",
            (self._seq,),
        ).fetchall()
        chain.leave(self._connection, [seq for (seq,) in done])
        for table in ("history", "record"):
            self._connection.executemany(f"DELETE FROM {table} WHERE seq = ?", done)
