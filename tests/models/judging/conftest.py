from __future__ import annotations

from pathlib import Path

import pytest

from agent.bundle.bundle import InputSpec
from models.data.datasets import Item
from models.data.held import good_items
from models.judging import yardstick
from models.judging.yardstick import Built
from tests.models.tiny import write_tiny

SPEC = InputSpec(channels=1, tile_px=64, overlap_px=8, scale=0.8)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that are looked at and never changed."""
    return write_tiny(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="session")
def good(data: Path) -> tuple[list[Item], list[Item]]:
    return good_items([data])


@pytest.fixture(scope="module")
def built(good: tuple[list[Item], list[Item]], yardsticks: None) -> Built:
    """The memory of these good parts, as the trained models of this room are held against, too."""
    return yardstick.build(*good, SPEC)
