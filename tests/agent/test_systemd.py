"""Messages to the service manager, byte for byte as sd_notify(3) has them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.systemd import LONGEST_STATUS, NOBODY, SEND_S, Manager, manager_of

PID = 4711


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """An address as $NOTIFY_SOCKET has it, and who listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.settimeout(5)
        if request.param == "path":
            address = str(tmp_path / "notify")
            heard.bind(address)
        else:
            address = f"@plumbline-test-{os.getpid()}"
            heard.bind("\0" + address[1:])
        yield address, heard


def test_each_message_is_one_datagram(listener: tuple[str, socket.socket]) -> None:
    address, heard = listener
    manager = Manager(address=address, watchdog_s=30)
    manager.ready()
    assert heard.recv(1000) == b"READY=1"
    manager.reloading(12_345_678_901)
    assert heard.recv(1000) == b"RELOADING=1\nMONOTONIC_USEC=12345678"
    manager.stopping()
    assert heard.recv(1000) == b"STOPPING=1"
    manager.alive()
    assert heard.recv(1000) == b"WATCHDOG=1"
    manager.act()
    assert heard.recv(1000) == b"WATCHDOG=trigger"
    manager.extend(0.5)
    assert heard.recv(1000) == b"EXTEND_TIMEOUT_USEC=500000"
    manager.watch_every(600)
    assert heard.recv(1000) == b"WATCHDOG_USEC=600000000"


def test_words_are_one_line_that_is_not_too_long(listener: tuple[str, socket.socket]) -> None:
    address, heard = listener
    Manager(address=address).status("Degraded: camera\nREADY=1\n  top \udcff lost " + "x" * 1000)
    said = heard.recv(4000).decode()
    assert said.startswith("STATUS=Degraded: camera READY=1 top ? lost xxx")
    assert "\n" not in said and len(said) == len("STATUS=") + LONGEST_STATUS


def test_without_a_watchdog_its_interval_is_not_changed(listener: tuple[str, socket.socket]) -> None:
    address, heard = listener
    manager = Manager(address=address)
    manager.watch_every(600)
    manager.ready()
    assert heard.recv(1000) == b"READY=1"


@pytest.mark.parametrize(
    "address", ["", "/nowhere/notify", "@nobody-listens-here", "vsock:2:1234", "x" * 300]
)
def test_nobody_who_listens_is_no_failure(address: str) -> None:
    Manager(address=address).ready()


def test_a_manager_who_does_not_listen_holds_nobody_up(listener: tuple[str, socket.socket]) -> None:
    manager = Manager(address=listener[0], watchdog_s=30)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        place = "\0" + listener[0][1:] if listener[0].startswith("@") else listener[0]
        with pytest.raises(BlockingIOError):
            for _ in range(100_000):
                filler.sendto(b"WATCHDOG=1", place)
    begun = time.monotonic()
    manager.alive()
    assert time.monotonic() - begun < 10 * SEND_S


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(PID)}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),  # of another process
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "100"}, 0.0001),  # however short
    ],
)
def test_the_watchdog_is_obeyed_by_the_process_that_is_meant(
    environment: dict[str, str], watchdog_s: float | None
) -> None:
    assert manager_of(environment, pid=PID).watchdog_s == watchdog_s


def test_who_was_started_by_hand_has_no_manager() -> None:
    assert manager_of({}, pid=PID) == NOBODY
