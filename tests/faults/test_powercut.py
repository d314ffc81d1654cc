"""A power cut at any moment leaves every announced row, whatever becomes of what was not yet synced."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.ledger import assert_survived
from tests.faults.powercut import COMPILER, cut, cuts

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler: apt-get install gcc libc6-dev")


@needs_compiler
def test_sixty_power_cuts_lose_nothing_that_was_announced(tmp_path: Path) -> None:
    assert_survived(cut(tmp_path))


@needs_compiler
@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_the_cuts_can_hurt_an_outbox_that_does_not_sync(tmp_path: Path, synchronous: str) -> None:
    found = cuts(tmp_path, moments=30, seed=1, synchronous=synchronous)
    assert any(one.rows_lost or one.damage for one in found)
