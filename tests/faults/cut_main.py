"""A process whose power will be cut: it appends, has rows delivered, and writes down what it said when.

It announces in a file beside the outbox, so that the journal has announcements and writes in one
order: `+ N` when append N is committed, `- ID` before a row is given up as delivered. It can weaken
the connection that inserts, to prove that the cuts are able to hurt.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
from functools import partial
from pathlib import Path
from typing import Any

from agent.clock import SystemClock
from agent.outbox import file as outbox_file
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from tests.faults.rows import Recipe

CHECKPOINT_PAGES = 20  # often, so that cuts fall into checkpoints too


def main(folder: Path, appends: int, synchronous: str, seed: int) -> None:
    _connect_with(synchronous)
    rng = random.Random(seed)
    announcements = os.open(folder / "announced", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    outbox = Outbox(Database(folder / "outbox.sqlite3", clock=SystemClock()))
    outbox.open()
    recipe = Recipe()
    for number in range(1, appends + 1):
        committed = outbox.append(recipe.append(number), partial(_announce, announcements, number))
        if rng.random() < 0.5:
            committed.result()
        if rng.random() < 0.1:
            delivered = outbox.lease(rng.randint(1, 10))
            for waiting in delivered:
                os.write(announcements, f"- {waiting.row.id}\n".encode())
            outbox.delivered([waiting.seq for waiting in delivered])
    outbox.append([]).result()
    os._exit(0)  # nothing is closed, as nobody closes anything when the power goes


def _announce(announcements: int, number: int) -> None:
    os.write(announcements, b"+ %d\n" % number)


def _connect_with(synchronous: str) -> None:
    plain = outbox_file.connect

    def connect(path: Path, **wanted: Any) -> sqlite3.Connection:
        database = plain(path, **wanted)
        if wanted["synchronous"] == "FULL":
            database.execute(f"PRAGMA synchronous = {synchronous}")
        database.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        return database

    outbox_file.connect = connect


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
