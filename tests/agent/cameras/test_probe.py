"""`plumbline camera list` finds what is there, `camera test` says rate and loss of any kind of source."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cameras.camera import CameraError
from agent.cameras.folder import FolderCamera
from agent.cameras.probe import source_of, try_camera
from agent.clock import ManualClock
from agent.settings.camera import FolderSource, GenicamSource, VideoSource
from tests.gige.aravis import needs_aravis
from tests.gige.process import ROOT, SimulatedCamera


def plumbline(
    *arguments: str, before: tuple[str, ...] = (), code: str | None = None
) -> subprocess.CompletedProcess[str]:
    """The command, or a script around it."""
    return subprocess.run(
        [*before, sys.executable, *(("-m", "agent", *arguments) if code is None else ("-c", code))],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def folder_of(tmp_path: Path, pictures: int) -> Path:
    for number in range(pictures):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((4, 6), np.uint8))
    return tmp_path


def test_what_is_typed_names_one_kind_of_source(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 1)
    assert source_of("rtsp://camera/1") == VideoSource(url="rtsp://camera/1")
    assert source_of("/dev/video0") == VideoSource(url="/dev/video0")
    assert source_of(str(folder)) == FolderSource(path=folder)
    assert source_of("192.0.2.7") == GenicamSource(address="192.0.2.7")
    assert source_of("Basler-acA1300-2134") == GenicamSource(address="Basler-acA1300-2134")
    for text in ("nowhere", "300.1.1.1"):
        with pytest.raises(CameraError, match=rf"{text}: no file or folder of that name, and no camera"):
            source_of(text)


def test_ten_frames_are_good_and_fewer_are_not(tmp_path: Path) -> None:
    source = FolderSource(path=folder_of(tmp_path, 10), rate_hz=20)
    tried = try_camera(FolderCamera("test", source, ManualClock()), clock := ManualClock())
    assert tried.is_good and (tried.frames, tried.lines, tried.shape) == (10, 40, (4, 6, 1))
    (tmp_path / "3.png").unlink()
    tried = try_camera(FolderCamera("test", source, clock), clock)
    assert not tried.is_good and tried.frames == 9


def can_make_networks() -> bool:
    if not (shutil.which("unshare") and shutil.which("ip") and shutil.which("sysctl")):
        return False
    made = subprocess.run(
        ["unshare", "-n", "ip", "link", "add", "one", "type", "veth", "peer", "name", "two"],
        capture_output=True,
        check=False,
    )
    return made.returncode == 0


@pytest.mark.slow
@needs_aravis
def test_a_camera_is_tried_from_the_command_line() -> None:
    with SimulatedCamera({"noise": "512x256", "height": 64, "line_rate_hz": 3200}) as simulated:
        done = plumbline("camera", "test", simulated.address)
        assert done.returncode == 0, done.stderr + done.stdout
        assert "10 of 10 frames, 0 faults" in done.stdout and "64 x 512 x 1, 8 bits" in done.stdout
    gone = plumbline("camera", "test", simulated.address)
    assert gone.returncode == 2 and "check that it is on" in gone.stderr


@needs_aravis
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_without_the_right_to_packet_sockets_frames_come_over_udp() -> None:
    with SimulatedCamera({"noise": "512x256", "height": 64, "line_rate_hz": 3200}) as simulated:
        done = plumbline(
            *("camera", "test", simulated.address), before=("setpriv", "--bounding-set=-net_raw")
        )
        assert done.returncode == 0, done.stderr + done.stdout
        assert "socket: udp, Mono8" in done.stdout


@pytest.mark.slow
@needs_aravis
@pytest.mark.skipif(not can_make_networks(), reason="this machine lets nobody make a network of its own")
def test_a_camera_is_found_by_broadcast_and_opened_by_address_without_a_packet_elsewhere() -> None:
    code = """if True:
        import subprocess, sys
        from pathlib import Path
        from tests.gige.process import SimulatedCamera

        def run(*command):
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout

        def sent():
            line = next(one for one in Path("/proc/net/dev").read_text().splitlines() if "elsewhere" in one)
            return int(line.partition(":")[2].split()[9])

        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "elsewhere", "type", "veth", "peer", "name", "far")
        run("ip", "link", "set", "far", "up")
        run("sysctl", "-q", "-w", "net.ipv6.conf.elsewhere.disable_ipv6=1")
        run("ip", "addr", "add", "192.0.2.1/24", "dev", "elsewhere")
        run("ip", "link", "set", "elsewhere", "up")
        with SimulatedCamera({"discovery": True, "serial": "77"}, address="127.0.0.1"):
            before = sent()
            run(sys.executable, "-m", "agent", "camera", "test", "127.0.0.1")
            print("by address", sent() - before)
            print(run(sys.executable, "-m", "agent", "camera", "list"))
            print("by broadcast", sent() - before)
    """
    done = plumbline(code=code, before=("unshare", "-n"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Plumbline-SimLine-77" in done.stdout and "127.0.0.1" in done.stdout
    assert "by address 0\n" in done.stdout
    assert "by broadcast 0\n" not in done.stdout
