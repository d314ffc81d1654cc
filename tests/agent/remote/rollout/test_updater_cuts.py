"""Wherever a rollout on a running station is cut, a known bundle serves, and the next start ends it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.remote.depots import served
from tests.agent.remote.rollouts import installed, sources
from tests.agent.remote.updater_cuts import BUNDLES, cut_everywhere

MEMORY = Path("/dev/shm")  # what is synced is told by the cutter, and needs no disk


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as name:
        yield Path(name)


def cuts(folder: Path, what: str, kind: str) -> list[dict[str, Any]]:
    """What each cut left, where 2 serves and 1 did before, and 3 comes."""
    there = sources(folder, 1, 2, 3)
    installed(folder / BUNDLES, there[1], there[2])
    found = cut_everywhere(folder, there[3], what, kind)
    assert served(folder / BUNDLES) == (2, 1)
    return found


def assert_known(one: dict[str, Any]) -> None:
    """Whole, and on probation or committed where it is the new one."""
    assert one["left"]["served"] in ((2, 1), (2, 2), (3, 2)), one
    if one["left"]["served"][0] == 3:
        assert one["left"]["state"] in ("probation", "rolling_back", "committed", "idle"), one
    assert one["after"]["begun"] in (2, 3), one
    assert (one["after"]["bundles"], one["after"]["left_over"]) == (2, []), one


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["death", "power"])
def test_a_rollout_that_is_cut_at_any_step_is_carried_through_by_the_next_start(
    kind: str, folder: Path
) -> None:
    found = cuts(folder, "stays", kind)
    assert len(found) > 60
    states = {one["left"]["state"] for one in found}
    assert states >= {"idle", "downloading", "verifying", "proving", "staged", "probation", "committed"}
    for one in found:
        assert_known(one)
        assert (one["after"]["served"], one["after"]["outcome"]) == ((3, 2), "applied"), one


@pytest.mark.slow
def test_a_bundle_that_is_refused_leaves_the_old_state_wherever_it_was_cut(folder: Path) -> None:
    found = cuts(folder, "refused", "death")
    assert len(found) > 40
    for one in found:
        assert_known(one)
        assert one["after"]["outcome"] == "failed" and one["is_as_before"], one


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["death", "power"])
def test_a_way_back_that_is_cut_at_any_step_ends_with_the_bundle_before(kind: str, folder: Path) -> None:
    found = cuts(folder, "breached", kind)
    assert len(found) > 60
    assert "rolling_back" in {one["left"]["state"] for one in found}
    for one in found:
        assert_known(one)
        assert one["after"]["outcome"] == "rolled_back" and one["is_as_before"], one
