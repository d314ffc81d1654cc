"""What an agent makes of a cable that was out: every line that the camera counted is valid or lost."""

from __future__ import annotations

import time

import numpy as np
import pytest

from agent.cameras.life import Patience
from agent.cameras.make import connections
from agent.clock import SystemClock
from agent.messages import Frame
from agent.settings import camera as camera_settings
from agent.settings.web import Web
from tests.agent.cameras.scripted import eventually
from tests.agent.cameras.watched import watched_camera
from tests.gige.aravis import needs_aravis
from tests.gige.client import source
from tests.gige.process import SimulatedCamera

pytestmark = needs_aravis

WINDOW = 100  # no multiple of a block
ARGUMENTS = {"noise": "512x1024", "height": 64, "line_rate_hz": 6400}
CUTS = 2


@pytest.mark.slow
def test_lines_that_passed_while_the_cable_was_out_are_lost_in_their_place() -> None:
    with SimulatedCamera(ARGUMENTS) as simulated:
        wanted = camera_settings.Camera(source=source(simulated.address), web=Web(window_lines=WINDOW))
        make = connections("top", wanted.source, SystemClock())
        with watched_camera(make, Patience(silence_s=0.5), wanted=wanted) as one:
            for cut in range(CUTS):
                one.frames_go_on()
                simulated.cue(mute=True)
                one.reaches("stalled", "lost")
                time.sleep(0.2)
                simulated.cue(mute=False)
                eventually(lambda cut=cut: one.supervisor.counts().epoch == cut + 1, "it is back")
            one.frames_go_on()
    items = one.items
    assert {item.epoch for item in items if isinstance(item, Frame)} == set(range(CUTS + 1))
    valid = sum(
        int(np.count_nonzero(item.valid)) if item.valid is not None else len(item.image)
        for item in items
        if isinstance(item, Frame)
    )
    lost = sum(item.lines_lost for item in items)
    last = items[-1]
    ends = last.first_line + (WINDOW if isinstance(last, Frame) else last.lines_lost)
    assert valid + lost == ends - items[0].first_line
    assert lost > CUTS * 0.5 * 6400
