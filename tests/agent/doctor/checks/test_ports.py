"""A port that another program has is wrong, one that the running agent has is good."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from agent.doctor.checks import ports
from agent.doctor.site import Site
from agent.outbox.place import lock_of
from tests.agent.doctor.sites import REAL, machine, put, running_agent, site, states, told
from tests.brokers import HOST, free_port


def paged(folder: Path, port: int, **sections: object) -> Site:
    return site(folder, on=machine(folder, root=REAL), page={"port": port}, **sections)


def test_a_port_that_nobody_has_is_free(tmp_path: Path) -> None:
    assert states(ports.free, paged(tmp_path, free_port())) == ["ok"]
    assert states(ports.free, paged(tmp_path, 0)) == ["ok"]


def test_a_port_that_another_program_has_is_wrong_and_that_program_is_named(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        said = told(ports.free, paged(tmp_path, taken.getsockname()[1]), "wrong")
    assert f"is taken by process {os.getpid()} " in said.words


def test_a_port_that_the_running_agent_has_is_good(tmp_path: Path) -> None:
    one = paged(tmp_path, free_port(), outbox={"path": "outbox.sqlite3"})
    lock = lock_of(one.settings.outbox.path)
    with running_agent(lock, "/usr/bin/plumbline", "run", str(one.settings.page.port)):
        assert "held by the running agent" in told(ports.free, one, "ok").words
    with (
        running_agent(lock, "/usr/bin/plumbline", "run"),
        socket.create_server((HOST, one.settings.page.port)),
    ):
        assert states(ports.free, one) == ["wrong"]


def test_gateways_that_are_asked_have_ports_too(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        modbus = {"kind": "modbus", "port": taken.getsockname()[1]}
        one = site(tmp_path, on=machine(tmp_path, root=REAL), gateways=[modbus])
        assert told(ports.free, one, "wrong").words.startswith("modbus: port ")


def test_an_address_that_is_not_of_this_machine_is_wrong(tmp_path: Path) -> None:
    one = site(tmp_path, page={"host": "203.0.113.9"}, gateways=[{"kind": "modbus", "host": "203.0.113.9"}])
    assert states(ports.free, one) == ["wrong", "wrong"]


def test_a_port_for_root_alone_is_noted(tmp_path: Path) -> None:
    assert states(ports.free, site(tmp_path, page={"port": 80})) == ["note"]
    put(tmp_path, proc__sys__net__ipv4__ip_unprivileged_port_start=80)
    assert states(ports.free, site(tmp_path, page={"port": 80})) == ["ok"]


def test_a_station_that_listens_nowhere_is_skipped(tmp_path: Path) -> None:
    assert states(ports.free, site(tmp_path)) == ["skipped"]


@pytest.mark.parametrize("word", ["0100007F:1F90", "00000000000000000000000000000000:1F90"])
def test_sockets_that_listen_are_told_from_connections(tmp_path: Path, word: str) -> None:
    here = machine(tmp_path)
    place = tmp_path / "root" / "proc" / "net"
    place.mkdir(parents=True)
    head = "sl local rem st tx tr retr uid timeout inode\n"
    rows = [f"0: {word} 0:0 {state} 0:0 0:0 0 0 0 {inode} 1\n" for state, inode in (("0A", 7), ("01", 8))]
    (place / ("tcp" if len(word) < 20 else "tcp6")).write_text(head + "".join(rows))
    assert ports.listening(here, 8080) == {"7"}
    assert ports.listening(here, 8081) == set()
