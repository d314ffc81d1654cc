"""Who holds a lock is read, and the lock is not tried for it."""

from __future__ import annotations

from pathlib import Path

from agent.doctor.holder import holder_of
from tests.agent.doctor.sites import machine, put, running_agent, write

HELD = "1: FLOCK  ADVISORY  WRITE {} fe:00:{} 0 EOF"


def test_a_lock_that_nobody_holds_has_no_holder(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert holder_of(machine(tmp_path), lock) is None
    lock.write_text("7\n")
    put(tmp_path, proc__locks="1: POSIX  ADVISORY  READ 9 fe:00:1 0 EOF", proc__7__cmdline="plumbline\0run")
    assert holder_of(machine(tmp_path), lock) is None


def test_the_kernels_holder_counts_and_one_who_waits_does_not(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("7\n")
    inode = lock.stat().st_ino
    waits = f"2: -> FLOCK  ADVISORY  WRITE 8 fe:00:{inode} 0 EOF"
    put(tmp_path, proc__locks=f"{HELD.format(9, inode)}\n{waits}", proc__9__cmdline="/usr/bin/plumbline\0run")
    found = holder_of(machine(tmp_path), lock)
    assert found is not None and found.pid == 9 and found.is_agent


def test_a_holder_of_another_namespace_is_the_one_that_the_file_names(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("7\n")
    put(tmp_path, proc__locks=HELD.format(0, lock.stat().st_ino))
    found = holder_of(machine(tmp_path), lock)
    assert found is not None and found.pid == 7 and found.command == "" and not found.is_agent


def test_where_the_kernel_tells_no_locks_a_process_that_lives_is_the_holder(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("7\n")
    assert holder_of(machine(tmp_path), lock) is None
    write(tmp_path, "proc/7/cmdline", "python3\0-m\0agent\0run\0-c\0x.yaml")
    found = holder_of(machine(tmp_path), lock)
    assert found is not None and found.is_agent


def test_looking_does_not_keep_an_agent_from_taking_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    put(tmp_path, proc__locks="")
    lock.touch()
    holder_of(machine(tmp_path), lock)
    with running_agent(lock, "plumbline", "run"):
        pass
