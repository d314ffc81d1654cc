"""The scale of a target of known pitch."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from agent.clock import ManualClock
from agent.errors import PlumblineError
from agent.teach.scale import measure_scale
from agent.track.pitch import PitchError
from tests.agent.teach.targets import camera, stripes, target


def test_the_scale_of_a_picture_file(tmp_path: Path) -> None:
    file = tmp_path / "target.png"
    cv2.imwrite(str(file), stripes(25.0, checker=True, seed=3, lines=500))
    one = camera(tmp_path, target(150))
    across, down = measure_scale(one, source=str(file), across=True, down=True, lines=1, clock=ManualClock())
    assert across is not None and across.period_px == pytest.approx(25.0, abs=0.01)
    assert down is not None and down.period_px == pytest.approx(25.0, abs=0.02)
    assert issubclass(PitchError, PlumblineError)
