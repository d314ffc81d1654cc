"""Cameras opened at once do not disturb each other; one that falls silent meanwhile is told as such."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from agent.cameras.camera import CameraError
from agent.cameras.genicam.camera import GenicamCamera
from agent.cameras.genicam.library import load
from agent.clock import SystemClock
from agent.settings.camera import FeatureWrite
from tests.agent.cameras.scripted import eventually
from tests.gige.aravis import needs_aravis
from tests.gige.client import frames, source
from tests.gige.process import SimulatedCamera

pytestmark = needs_aravis

ARGUMENTS = {"noise": "512x1024", "height": 64, "line_rate_hz": 640}
FEATURES = (
    FeatureWrite(name="PixelFormat", value="Mono8"),
    FeatureWrite(name="ExposureTime", value=20.0),
    FeatureWrite(name="Width", value=512),
)
AT_ONCE, ROUNDS = 6, 10
MISSED_TWICE_S = 1.3  # Aravis asks again after half a second
LATE_AFTER = [2, 24, 30, 50]  # commands, in the middle of connecting, of control, of features, of the start
SILENT_AFTER = [25, 29, 34, 40, 52]


def camera(simulated: SimulatedCamera) -> GenicamCamera:
    return GenicamCamera("top", source(simulated.address, features=FEATURES), SystemClock())


def test_cameras_that_are_opened_at_once_all_stream() -> None:
    def streams(one: GenicamCamera) -> None:
        one.open()
        frames(one, 1)
        one.close()

    with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as pool:
        cameras = [camera(stack.enter_context(SimulatedCamera(ARGUMENTS))) for _ in range(AT_ONCE)]
        for _ in range(ROUNDS):
            list(pool.map(streams, cameras))


def test_a_description_is_read_when_that_of_another_camera_has_been() -> None:
    library, before = load(), LATE_AFTER[0]
    with SimulatedCamera(ARGUMENTS) as one, SimulatedCamera(ARGUMENTS) as other, ThreadPoolExecutor() as pool:
        handle = library.arv_camera_new(one.address.encode())
        other.cue(answers=before, pause_s=MISSED_TWICE_S)
        connecting = pool.submit(library.arv_camera_new, other.address.encode())
        eventually(lambda: other.cue().commands == before, "the other one is half connected")
        parser = library.arv_camera_create_chunk_parser(handle)
        assert other.cue().commands > before
        for made in (parser, handle, connecting.result()):
            library.g_object_unref(made)


@pytest.mark.slow
def test_a_camera_that_answers_late_at_any_step_of_opening_is_opened() -> None:
    with SimulatedCamera(ARGUMENTS) as simulated:
        one = camera(simulated)
        for step in LATE_AFTER:
            simulated.cue(answers=step, pause_s=MISSED_TWICE_S)
            one.open()
            frames(one, 1)
            one.close()


@pytest.mark.slow
def test_a_camera_that_falls_silent_at_any_step_of_opening_is_told_as_one_that_does_not_answer() -> None:
    def said(step: int) -> CameraError:
        with SimulatedCamera(ARGUMENTS) as simulated:
            simulated.cue(answers=step)
            with pytest.raises(CameraError) as caught:
                camera(simulated).open()
            return caught.value

    with ThreadPoolExecutor(len(SILENT_AFTER)) as pool:
        for error in pool.map(said, SILENT_AFTER):
            assert type(error) is CameraError, error  # and no mistake of the settings, nor in use
            assert "check that it is on and connected" in str(error)
