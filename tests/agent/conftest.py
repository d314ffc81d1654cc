from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def database(tmp_path: Path, clock: ManualClock) -> Database:
    """That of `outbox`."""
    return Database(tmp_path / "outbox.sqlite3", clock=clock)


@pytest.fixture
def outbox(database: Database) -> Iterator[Outbox]:
    """An open outbox whose time stands still."""
    outbox = Outbox(database)
    outbox.open()
    yield outbox
    outbox.close()
