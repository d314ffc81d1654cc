"""The disk under the outbox: full, slow, or of a kind that loses records."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.doctor.checks import disk
from agent.doctor.machine import Machine
from agent.doctor.site import Site
from tests.agent.doctor.sites import Leaping, at, put, site, states, told


def test_room_enough_is_good_and_less_than_the_settings_ask_for_is_wrong(tmp_path: Path) -> None:
    assert states(disk.room, site(tmp_path, outbox={"min_free_bytes": 1})) == ["ok"]
    one = site(tmp_path, outbox={"min_free_bytes": 10**15})
    assert "outbox.min_free_bytes" in told(disk.room, one, "wrong").words


def test_room_that_is_soon_used_up_is_noted(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    assert states(disk.room, site(tmp_path, outbox={"min_free_bytes": free * 2 // 3})) == ["note"]


@pytest.mark.parametrize(("seconds", "found"), [(0.0, "ok"), (0.3, "note"), (2.0, "wrong")])
def test_a_slow_disk_is_said(tmp_path: Path, seconds: float, found: str) -> None:
    one = site(tmp_path, on=at(Leaping(seconds), tmp_path))
    before = sorted(tmp_path.iterdir())
    assert states(disk.speed, one) == [found]
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_is_not_there_is_not_written_to(tmp_path: Path) -> None:
    assert states(disk.speed, site(tmp_path, outbox={"path": "none/outbox.sqlite3"})) == ["skipped"]


@pytest.mark.parametrize(
    ("mount", "found"),
    [
        ("/dev/sda1 {} ext4 rw,relatime", "ok"),
        ("/dev/sda1 {} xfs rw", "ok"),
        ("/dev/sda1 {} ext4 rw,nobarrier", "note"),
        ("overlay {} overlay rw", "note"),
        ("tmpfs {} tmpfs rw", "wrong"),
        ("server:/x {} nfs4 rw", "wrong"),
        ("//server/x {} cifs rw", "wrong"),
        ("/dev/sdb1 {} vfat rw", "wrong"),
        ("/dev/sda1 {} ext4 ro,relatime", "wrong"),
    ],
)
def test_the_kind_of_the_filesystem(tmp_path: Path, mount: str, found: str) -> None:
    put(
        tmp_path,
        proc__self__mounts=f"/dev/root / ext4 rw 0 0\n{mount.format(tmp_path)} 0 0\nx /other nfs rw 0 0",
    )
    assert states(disk.filesystem, site(tmp_path)) == [found]


def test_a_mount_with_a_space_in_its_name_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "a disk"
    folder.mkdir()
    put(tmp_path, proc__self__mounts=f"/dev/root / ext4 rw 0 0\ns:/x {tmp_path}/a\\040disk nfs rw 0 0")
    assert states(disk.filesystem, site(tmp_path, outbox={"path": "a disk/outbox.sqlite3"})) == ["wrong"]


def test_a_kernel_that_does_not_tell_is_skipped(tmp_path: Path) -> None:
    assert states(disk.filesystem, site(tmp_path)) == ["skipped"]


def test_the_disk_of_this_very_machine_is_named() -> None:
    (said,) = disk.filesystem(Site(machine=Machine()))
    assert " is on " in said.words
