"""Cameras are asked whether they are there, and none is taken from whoever has it."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from agent.doctor import gige
from agent.doctor.checks import camera
from agent.doctor.site import Site
from agent.outbox.place import lock_of
from tests.agent.doctor.sites import REAL, machine, put, running_agent, site, states, told
from tests.brokers import HOST, free_port
from tests.gige.aravis import needs_aravis
from tests.gige.process import SimulatedCamera, free_address

USB = "sys__bus__usb__devices__"
LIMIT = "sys__module__usbcore__parameters__usbfs_memory_mb"


def seen(folder: Path, **source: object) -> Site:
    return site(folder, cameras=[{"name": "top", "source": source}])


def gigabit(folder: Path, address: str, **more: object) -> Site:
    return seen(folder, kind="genicam", address=address, **more)


def test_a_gige_camera_that_is_on_is_good_and_one_that_is_off_is_wrong(tmp_path: Path) -> None:
    with SimulatedCamera() as simulated:
        one = gigabit(tmp_path, simulated.address)
        assert f"answers at {simulated.address}" in told(camera.answers, one, "ok").words
    assert "nothing answers" in told(camera.answers, one, "wrong").words


def test_to_ask_a_camera_controls_nothing(tmp_path: Path) -> None:
    with SimulatedCamera() as simulated:
        for _ in range(2):
            found = gige.ask(simulated.address)
            assert found is not None and not found.is_controlled and found.model


def test_a_camera_that_somebody_controls_is_noted_and_good_where_it_is_the_agent(tmp_path: Path) -> None:
    with SimulatedCamera() as simulated, controlling(simulated.address):
        one = site(
            tmp_path,
            on=machine(tmp_path, root=REAL),
            cameras=[{"name": "top", "source": {"kind": "genicam", "address": simulated.address}}],
        )
        assert "some program controls it" in told(camera.answers, one, "note").words
        with running_agent(lock_of(one.settings.outbox.path), "/usr/bin/plumbline", "run"):
            assert told(camera.answers, one, "ok").words.endswith("; held by the running agent")


class controlling:
    """Control of a camera, as an agent takes it."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((address, gige.PORT))
        self._socket.settimeout(5)

    def _write(self, value: int) -> None:
        body = (0x0A00).to_bytes(4, "big") + value.to_bytes(4, "big")
        self._socket.send(bytes.fromhex("4201008200080001") + body)
        assert self._socket.recv(100)[:2] == b"\0\0"

    def __enter__(self) -> None:
        self._write(2)

    def __exit__(self, *_: object) -> None:
        self._write(0)
        self._socket.close()


def test_nonsense_at_a_cameras_port_is_no_camera() -> None:
    address = free_address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((address, gige.PORT))

        def answer() -> None:
            for _ in range(gige.TRIES):
                _, asker = other.recvfrom(100)
                other.sendto(b"nonsense" * 5, asker)

        thread = threading.Thread(target=answer)
        thread.start()
        assert gige.ask(address) is None
        thread.join()


@needs_aravis
def test_a_camera_by_a_name_that_nobody_answers_to_is_wrong(tmp_path: Path) -> None:
    one = gigabit(tmp_path, "Nobody-Model-123")
    assert "no camera answers to the name" in told(camera.answers, one, "wrong").words


@pytest.mark.parametrize("mtu", [1500, 9000])
def test_packets_that_the_network_card_does_not_carry_are_wrong(tmp_path: Path, mtu: int) -> None:
    put(tmp_path, sys__class__net__lo__mtu=mtu)
    small, large = (gigabit(tmp_path, HOST, packet_size=size) for size in (1400, 9100))
    assert states(camera.packets, small) == ["note" if mtu < camera.JUMBO_BYTES else "ok"]
    said = told(camera.packets, large, "wrong")
    assert f"lo carries {mtu} bytes" in said.words and "mtu 9000" in said.remedy


def test_packets_of_no_gige_camera_are_skipped(tmp_path: Path) -> None:
    for look in (camera.packets, camera.buffers):
        assert states(look, seen(tmp_path, kind="folder", path="frames")) == ["skipped"]


def test_a_small_buffer_is_wrong_for_who_has_no_packet_socket(tmp_path: Path) -> None:
    one = gigabit(tmp_path, HOST)
    put(tmp_path, proc__sys__net__core__rmem_max=4_194_304)
    assert states(camera.buffers, one) == ["ok"]
    put(tmp_path, proc__sys__net__core__rmem_max=212_992)
    if camera.may_open_packet_socket():
        assert told(camera.buffers, one, "ok").words.startswith("packets come by packet")
    else:
        assert "4194304" in told(camera.buffers, one, "wrong").remedy


def plugged(folder: Path, mbit: int) -> None:
    put(
        folder,
        **{
            f"{USB}2-1:1.0__bInterfaceClass": "ef",
            f"{USB}2-1:1.0__bInterfaceSubClass": "05",
            f"{USB}2-1__speed": mbit,
            f"{USB}2-1__product": "Blackfly",
            f"{USB}1-4:1.0__bInterfaceClass": "03",
            f"{USB}1-4:1.0__bInterfaceSubClass": "01",
        },
    )


def test_usb_without_a_camera_is_skipped(tmp_path: Path) -> None:
    assert states(camera.usb, site(tmp_path)) == ["skipped"]


@pytest.mark.parametrize(
    ("mbit", "limit", "found"),
    [
        (5000, 1000, ["ok", "ok"]),
        (5000, 0, ["ok", "ok"]),
        (480, 1000, ["wrong", "ok"]),
        (5000, 16, ["ok", "wrong"]),
    ],
)
def test_a_slow_socket_and_little_memory_for_usb_are_wrong(
    tmp_path: Path, mbit: int, limit: int, found: list[str]
) -> None:
    plugged(tmp_path, mbit)
    put(tmp_path, **{LIMIT: limit})
    assert states(camera.usb, site(tmp_path)) == found


def test_a_device_that_is_not_there_is_wrong(tmp_path: Path) -> None:
    assert states(camera.answers, seen(tmp_path, kind="video", url="/dev/video99")) == ["wrong"]
    assert states(camera.answers, seen(tmp_path, kind="video", url=os.devnull)) == ["ok"]


def refuse(server: socket.socket) -> None:
    """Answer two DESCRIBEs as RTSP servers do: nobody gets in."""
    peer, _ = server.accept()
    with peer:
        for _ in range(2):
            if peer.recv(4096):
                peer.sendall(b'RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n')


def test_a_stream_that_refuses_the_login_or_is_away_is_wrong_and_the_login_is_not_said(
    tmp_path: Path,
) -> None:
    with socket.create_server((HOST, 0)) as server:
        thread = threading.Thread(target=refuse, args=(server,), daemon=True)
        thread.start()
        one = seen(tmp_path, kind="video", url=f"rtsp://user:hunter@{HOST}:{server.getsockname()[1]}/x")
        said = told(camera.answers, one, "wrong")
    assert "401" in said.words and "hunter" not in said.words + said.remedy
    away = seen(tmp_path, kind="video", url=f"rtsp://user:hunter@{HOST}:{free_port()}/x")
    said = told(camera.answers, away, "wrong")
    assert "does not answer" in said.words and "hunter" not in said.words


def test_a_stream_that_takes_connections_is_good(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as server:
        url = f"http://{HOST}:{server.getsockname()[1]}/video.mjpg"
        assert states(camera.answers, seen(tmp_path, kind="video", url=url)) == ["ok"]
