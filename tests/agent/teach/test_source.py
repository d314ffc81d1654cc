"""Where pictures cannot come from is one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.settings.camera import LinescanSimSource
from agent.settings.settings import Settings
from agent.teach.scale import measure_scale
from agent.teach.source import TeachError, camera_of
from tests.agent.teach.targets import camera, target


def test_a_camera_that_is_not_there_or_gives_nothing_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TeachError, match="--camera side: the settings have no such camera, there are top"):
        camera_of(Settings(), "side")
    silent = camera(tmp_path, target(150)).model_copy(
        update={"source": LinescanSimSource(path=tmp_path / "scene.png", line_rate_hz=0.001)}
    )
    with pytest.raises(TeachError, match="camera top: no picture within 10 s; start the belt"):
        measure_scale(silent, source="camera", across=True, down=False, lines=9, clock=ManualClock())
