"""A depot with two bundles of which the second serves, and the station that keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.remote.rollouts import Rig, installed, sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bundles"


@pytest.fixture
def there(tmp_path: Path, folder: Path) -> dict[int, Path]:
    """By counter; more than are in the depot."""
    found = sources(tmp_path, 1, 2, 3, 4)
    installed(folder, found[1], found[2])
    return found


@pytest.fixture
def rig(folder: Path, there: dict[int, Path]) -> Iterator[Rig]:
    made = Rig(folder)
    made.verdicts(30)
    yield made
    made.fetch.waits = False
    made.close()
