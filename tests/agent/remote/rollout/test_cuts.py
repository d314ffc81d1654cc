"""Wherever an install is cut, by a death or with the power, a whole bundle serves, and the next ends it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.remote.cuts import cut_everywhere, disk_of, disks, installing, killed
from tests.agent.remote.depots import make_hand, served, write_numbered

MEMORY = Path("/dev/shm")  # what is synced is told by the cutter, and needs no disk


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as name:
        yield Path(name)


def cuts(folder: Path, what: str, kind: str, *, is_twice: bool = False) -> list[dict[str, Any]]:
    """What each cut left, where 2 serves and 1 did before, and 3 comes."""
    prepare(folder)
    found = cut_everywhere(folder / "bundles", folder / "source-3", what, kind, is_twice=is_twice)
    assert served(folder / "bundles") == (2, 1)
    return found


def prepare(folder: Path) -> None:
    for counter in (1, 2, 3):
        write_numbered(folder / f"source-{counter}", counter)
    for counter in (1, 2):
        make_hand(folder / "bundles").install(folder / f"source-{counter}")


def assert_in_force(one: dict[str, Any]) -> None:
    assert one["left"]["served"] in ((2, 1), (2, 2), (3, 2)), one
    if one["left"]["served"][0] == 3:
        assert one["left"]["state"] in ("probation", "committed", "idle"), one
    assert one["after"] == {"served": (3, 2), "is_clean": True}, one


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
        assert one["left"]["served"] in ((2, 1), (2, 2), (1, 2)), one
        assert one["after"]["served"][0] == 3 and one["after"]["is_clean"], one


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["death", "power"])
def test_what_ends_an_install_may_be_cut_at_any_step_too(kind: str, folder: Path) -> None:
    found = cuts(folder, "install", kind, is_twice=True)
    again = [two for one in found for two in one["again"]]
    assert len(again) > 100
    for one in again:
        assert_in_force(one)


@pytest.mark.slow
def test_the_cuts_hurt_where_files_are_not_synced(folder: Path) -> None:
    assert [one for one in cuts(folder, "install", "careless") if one["left"]["served"] is None]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["death", "power"])
def test_a_process_that_is_killed_leaves_what_was_read_before_that_step(kind: str, folder: Path) -> None:
    prepare(folder)
    once = folder / "once"
    install = installing(once, folder / "source-3", "install")
    shutil.copytree(folder / "bundles", once, symlinks=True)
    found = disks(once, install, kind)
    for at in range(0, len(found) + 1, 7):
        shutil.rmtree(once)
        shutil.copytree(folder / "bundles", once, symlinks=True)
        is_cut = killed(once, install, kind, at)
        assert is_cut == (at < len(found)) and (not is_cut or disk_of(once) == found[at]), at
