"""A camera that somebody else wrote is served as well: Aravis' own fake one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from agent.settings.camera import FeatureWrite, GenicamSource
from tests.gige.aravis import needs_aravis
from tests.gige.client import frames, opened
from tests.gige.process import ROOT

pytestmark = needs_aravis


@pytest.fixture
def fake() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.gige.arv_fake"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != "running":
            pytest.skip("127.0.0.1 has a camera already: the fake one knows no other address")
        yield "127.0.0.1"
    finally:
        process.kill()
        process.communicate()


def test_frames_of_an_area_camera_come_in_order_over_the_wrap_of_their_ids(fake: str) -> None:
    features = (
        FeatureWrite(name="Width", value=256),
        FeatureWrite(name="Height", value=16),
        FeatureWrite(name="PixelFormat", value="Mono8"),
        FeatureWrite(name="ExposureTimeAbs", value=10_000.0),
        FeatureWrite(name="AcquisitionFrameRate", value=200.0),
    )
    with opened(GenicamSource(address=fake, features=features, ring_frames=200)) as camera:
        got = frames(camera, 250)
    assert [frame.frame_id for frame in got] == list(range(250))
    assert {frame.image.shape for frame in got} == {(16, 256, 1)}
    assert {(frame.first_line, frame.lines_lost) for frame in got} == {(0, 0)}
    assert len({frame.image.tobytes() for frame in got}) > 100  # its pattern moves
