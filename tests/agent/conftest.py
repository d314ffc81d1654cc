from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.outbox.outbox import Outbox


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: ManualClock) -> Iterator[Outbox]:
    """An open outbox whose time stands still."""
    outbox = Outbox(tmp_path / "outbox.sqlite3", clock=clock)
    outbox.open()
    yield outbox
    outbox.close()
