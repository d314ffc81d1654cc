"""An outbox that cannot work says which file, why, and what to do; it never half works."""

from __future__ import annotations

import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.app import build
from agent.clock import SystemClock
from agent.crew import Crew
from agent.demo.demo import SAMPLE_BUNDLE
from agent.outbox.database import Database
from agent.outbox.file import OutboxError, read_depth
from agent.outbox.outbox import Outbox
from agent.settings.settings import Outbox as OutboxSettings
from agent.settings.settings import Settings
from tests.agent.outbox.rows import crop, event
from tests.brokers import DEADLINE_S

NOBODY = 65534


def open_error(path: Path) -> str:
    with pytest.raises(OutboxError) as caught:
        Outbox(Database(path, clock=SystemClock())).open()
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE bookmarks (url TEXT)")
    database.close()
    assert "another program's database" in open_error(path)


def test_a_newer_schema(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    assert "schema version 99 was written by a newer agent" in open_error(path)


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    assert "the folder must exist" in open_error(tmp_path / "nowhere" / "outbox.sqlite3")


@pytest.mark.parametrize(
    "place", ["~/outbox.sqlite3", "~plumbline/data/outbox.sqlite3", "a/~/outbox.sqlite3"]
)
def test_a_tilde_is_no_home(tmp_path: Path, place: str) -> None:
    assert "~ is not expanded here" in open_error(tmp_path / place)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["nowhere/outbox.sqlite3", "no/where/outbox.sqlite3", "~/outbox.sqlite3"])
def test_an_agent_makes_no_folder_where_a_disk_may_be_missing(tmp_path: Path, place: str) -> None:
    wanted = Settings(bundle=SAMPLE_BUNDLE, outbox=OutboxSettings(path=tmp_path / place))
    with pytest.raises(OutboxError, match="the folder must exist"):
        build(wanted, SystemClock(), Crew())
    assert not list(tmp_path.iterdir())


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    assert "is a folder, a device or a pipe; name a file" in open_error(tmp_path)


def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    Outbox(Database(path, clock=SystemClock())).open()
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    message = as_unprivileged(lambda: open_error(path))
    tmp_path.chmod(0o755)
    assert "cannot be" in message and "the agent's user" in message


def test_a_full_disk_at_start(tmp_path: Path) -> None:
    with files_up_to(4096):
        message = open_error(tmp_path / "outbox.sqlite3")
    assert "check free space" in message


def test_a_disk_that_fills_up_while_running(tmp_path: Path) -> None:
    outbox = Outbox(Database(tmp_path / "outbox.sqlite3", clock=SystemClock()))
    outbox.open()
    outbox.append([event(1)]).result(DEADLINE_S)
    with files_up_to(200_000):
        refused = outbox.append([event(2), crop(1, 1_000_000)]).exception(DEADLINE_S)
    later = outbox.append([event(3)]).exception(DEADLINE_S)
    assert isinstance(refused, OutboxError) and "check free space" in str(refused)
    assert isinstance(later, OutboxError)
    outbox.close()
    assert read_depth(tmp_path / "outbox.sqlite3", clock=SystemClock()).rows == 1


def test_the_depth_of_a_missing_outbox(tmp_path: Path) -> None:
    with pytest.raises(OutboxError, match="missing"):
        read_depth(tmp_path / "missing.sqlite3", clock=SystemClock())


@contextmanager
def files_up_to(size_bytes: int) -> Iterator[None]:
    """As if the disk held no more: the kernel refuses to let a file grow beyond `size_bytes`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def as_unprivileged(action: Callable[[], str]) -> str:
    """What `action` returns in a process without root's rights."""
    if os.geteuid() != 0:
        return action()
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setuid(NOBODY)
            os.write(send, action().encode())
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        message = pipe.read().decode()
    os.waitpid(child, 0)
    return message
