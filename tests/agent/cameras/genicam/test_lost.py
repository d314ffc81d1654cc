"""A camera that dies, freezes or loses its cable is told, opened again, and its lines stay accounted for.

Slow by nature: Aravis notices lost control after some 5 s, a camera forgets a dead client after 3 s.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from agent.cameras.camera import CameraError
from agent.cameras.genicam.camera import GenicamCamera
from agent.clock import SystemClock
from agent.messages import Frame
from tests.agent.cameras.scripted import eventually
from tests.gige import gvcp, registers
from tests.gige.aravis import needs_aravis
from tests.gige.client import PATIENCE_S, frames, opened, shows, source, until_quiet
from tests.gige.process import ROOT, SimulatedCamera
from tests.gige.webs import noise, shown
from tests.lived import living

pytestmark = needs_aravis

WEB = noise(512, 1024, 0)
ARGUMENTS = {"noise": "512x1024", "height": 64, "line_rate_hz": 6400}


def until_lost(camera: GenicamCamera) -> tuple[list[Frame], str]:
    """What came before the camera was lost, and what was said of it."""
    got = []
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            item = camera.grab(0.2)
        except CameraError as error:
            return got, str(error)
        if item is not None:
            assert isinstance(item, Frame)
            got.append(item)
    raise AssertionError("was never told that the camera is lost")


def reopened(camera: GenicamCamera) -> list[str]:
    """Try again each half second, as long as it takes; what was said meanwhile."""
    said = []
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            camera.open()
        except CameraError as error:
            said.append(str(error))
            time.sleep(0.5)
            continue
        return said
    raise AssertionError(said)


def write(address: str, register: int, value: int) -> None:
    """By a client of its own, which a camera that nobody else controls obeys."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE_S)
        body = struct.pack(">II", register, value)
        command = struct.pack(">BBHHH", gvcp.KEY, gvcp.ACKNOWLEDGE, gvcp.WRITE_REGISTER, len(body), 1) + body
        client.sendto(command, (address, gvcp.PORT))
        status, *_ = struct.unpack(">HHHH", client.recv(64)[:8])
    assert status == 0


def kill(simulated: SimulatedCamera) -> Callable[[], None]:
    simulated.kill()
    return simulated.start


def freeze(simulated: SimulatedCamera) -> Callable[[], None]:
    simulated.freeze()
    return simulated.thaw


def dies_and_comes_back(break_it: Callable[[SimulatedCamera], Callable[[], None]]) -> None:
    with SimulatedCamera(ARGUMENTS) as simulated, opened(source(simulated.address)) as camera:
        before = frames(camera, 5)
        repair = break_it(simulated)
        _, said = until_lost(camera)
        assert "does not answer any more" in said
        with living() as closing:
            camera.close()
        assert closing.seconds < 7
        repair()
        reopened(camera)
        after = frames(camera, 5)
    assert all(shows(frame, shown(WEB, 8)) for frame in before + after)
    assert {frame.epoch for frame in before} == {0} and {frame.epoch for frame in after} == {1}
    assert after[0].frame_id > before[-1].frame_id


def loses_its_cable_and_has_it_back() -> None:
    with SimulatedCamera(ARGUMENTS) as simulated, opened(source(simulated.address)) as camera:
        got = frames(camera, 5)
        simulated.cue(mute=True)
        more, _ = until_lost(camera)
        camera.close()
        simulated.cue(mute=False)
        reopened(camera)
        got += more + frames(camera, 5)
        simulated.cue(blocks=0)
        got += [item for item in until_quiet(camera) if isinstance(item, Frame)]
        counts = simulated.cue()
    assert got[-1].epoch == 1 and counts.heartbeats_lost == 1
    given_out = sum(len(frame.image) for frame in got)
    assert given_out + sum(frame.lines_lost for frame in got) == counts.lines - got[0].first_line
    assert all(shows(frame, shown(WEB, 8)) for frame in got)


@pytest.mark.slow
def test_a_camera_that_dies_freezes_or_loses_its_cable_is_told_and_serves_again() -> None:
    fates = [partial(dies_and_comes_back, kill), partial(dies_and_comes_back, freeze)]
    with ThreadPoolExecutor() as pool:  # at once, because each takes Aravis its 5 s
        for fate in [pool.submit(one) for one in [*fates, loses_its_cable_and_has_it_back]]:
            fate.result()


@pytest.mark.slow
def test_a_cable_pulled_100_times_costs_no_line_that_is_not_said_to_be_lost() -> None:
    arguments = {**ARGUMENTS, "line_rate_hz": 64_000, "blocks": 0}
    pulls = np.random.default_rng(0).uniform(0.005, 0.03, (100, 2))
    with (
        SimulatedCamera(arguments) as simulated,
        opened(source(simulated.address, ring_frames=512)) as camera,
    ):
        simulated.cue(blocks=None)
        got = frames(camera, 1)
        for out_s, in_s in pulls:
            simulated.cue(mute=True)
            time.sleep(out_s)
            simulated.cue(mute=False)
            time.sleep(in_s)
            while (item := camera.grab(0.0)) is not None:
                assert isinstance(item, Frame) and shows(item, shown(WEB, 8))
                got.append(item)
        simulated.cue(blocks=3)
        rest = [item for item in until_quiet(camera) if isinstance(item, Frame)]
        counts = simulated.cue()
    lost = sum(frame.lines_lost for frame in got + rest)
    assert lost > 100 * 64
    assert sum(len(frame.image) for frame in got + rest) + lost == counts.lines - got[0].first_line


@pytest.mark.slow
def test_when_our_own_process_was_killed_its_heartbeat_is_waited_out() -> None:
    code = (
        "import sys, time; from tests.gige.client import frames, opened, source\n"
        "with opened(source(sys.argv[1])) as camera:\n"
        "    frames(camera, 3); print('streaming', flush=True); time.sleep(60)"
    )
    with SimulatedCamera(ARGUMENTS) as simulated:
        other = subprocess.Popen(
            [sys.executable, "-c", code, simulated.address], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert other.stdout is not None
        while other.stdout.readline().strip() != "streaming":
            assert other.poll() is None
        other.kill()
        other.communicate()
        camera = GenicamCamera("top", source(simulated.address), SystemClock())
        said = reopened(camera)
        assert said and all("in use by another client" in one for one in said)
        assert all(shows(frame, shown(WEB, 8)) for frame in frames(camera, 3))
        camera.close()
        assert simulated.cue().heartbeats_lost == 1


def test_closing_beside_a_grab_of_another_thread_is_safe_and_closing_twice_does_nothing() -> None:
    with SimulatedCamera(ARGUMENTS) as simulated, opened(source(simulated.address)) as camera:
        frames(camera, 2)
        simulated.cue(blocks=0)
        until_quiet(camera)
        said: list[str] = []

        def grab() -> None:
            try:
                while True:
                    camera.grab(0.5)
            except CameraError as error:
                said.append(str(error))

        grabbing = threading.Thread(target=grab)
        grabbing.start()
        camera.close()
        camera.close()
        grabbing.join(PATIENCE_S)
        assert len(said) == 1 and said[0].endswith(("call open first", "open it first"))
        assert camera.stream() is None


def test_blocks_of_a_camera_whose_stream_is_closed_go_nowhere_and_the_next_client_gets_its_own() -> None:
    """As when a frozen one goes on: it exposes for a client that has closed the stream meanwhile."""
    with SimulatedCamera(ARGUMENTS) as simulated:
        write(simulated.address, registers.FEATURES["AcquisitionStart"], 1)
        eventually(lambda: simulated.cue().blocks > 3, "the belt runs")
        assert simulated.cue().packets == 0
        with opened(source(simulated.address)) as camera:
            assert all(shows(frame, shown(WEB, 8)) for frame in frames(camera, 3))


def test_no_callback_of_ours_runs_in_the_heartbeat_s_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits for the interpreter while the camera is closed would have its thread join itself."""

    def refuse(*_: object) -> None:
        raise AssertionError("a signal was connected")

    monkeypatch.setattr("agent.cameras.genicam.session._signalled", refuse)
    with SimulatedCamera(ARGUMENTS) as simulated, opened(source(simulated.address)) as camera:
        frames(camera, 2)
