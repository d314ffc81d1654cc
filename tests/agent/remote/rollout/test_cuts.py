"""Wherever an install is cut, by a death or with the power, a whole bundle serves, and the next ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.remote.depots import make_hand, served, write_numbered

ROOT = Path(__file__).parents[3]
MEMORY = Path("/dev/shm")  # what is synced is told by the cutter, and needs no disk


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as name:
        yield Path(name)


def cuts(folder: Path, what: str, kind: str, how_often: str = "once") -> list[dict[str, Any]]:
    """What each cut left, where 2 serves and 1 did before, and 3 comes."""
    for counter in (1, 2, 3):
        write_numbered(folder / f"source-{counter}", counter)
    for counter in (1, 2):
        make_hand(folder / "bundles").install(folder / f"source-{counter}")
    command = [sys.executable, "-m", "tests.agent.remote.cuts", str(folder / "bundles")]
    command += [str(folder / "source-3"), what, kind, how_often]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert served(folder / "bundles") == (2, 1)
    return found


def assert_in_force(one: dict[str, Any]) -> None:
    assert one["left"]["served"] in ([2, 1], [2, 2], [3, 2]), one
    if one["left"]["served"][0] == 3:
        assert one["left"]["state"] in ("probation", "committed", "idle"), one
    assert one["after"] == {"served": [3, 2], "is_clean": True}, one


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["death", "power"])
def test_an_install_that_is_cut_at_any_step_leaves_a_bundle_in_force_and_is_ended_later(
    kind: str, folder: Path
) -> None:
    found = cuts(folder, "install", kind)
    assert len(found) > 60
    states = {one["left"]["state"] for one in found}
    assert states >= {"idle", "downloading", "verifying", "proving", "staged", "probation", "committed"}
    for one in found:
        assert_in_force(one)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["death", "power"])
def test_a_way_back_that_is_cut_at_any_step_leaves_a_bundle_in_force(kind: str, folder: Path) -> None:
    found = cuts(folder, "rollback", kind)
    assert len(found) > 30
    for one in found:
        assert one["left"]["served"] in ([2, 1], [2, 2], [1, 2]), one
        assert one["after"]["served"][0] == 3 and one["after"]["is_clean"], one


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["death", "power"])
def test_what_ends_an_install_may_be_cut_at_any_step_too(kind: str, folder: Path) -> None:
    found = cuts(folder, "install", kind, "twice")
    again = [two for one in found for two in one["again"]]
    assert len(again) > 100
    for one in again:
        assert_in_force(one)


@pytest.mark.slow
def test_the_cuts_hurt_where_files_are_not_synced(folder: Path) -> None:
    assert [one for one in cuts(folder, "install", "careless") if one["left"]["served"] is None]
