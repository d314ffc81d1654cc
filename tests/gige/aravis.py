"""Whether this machine can open GenICam cameras at all."""

from __future__ import annotations

import pytest

from agent.cameras.camera import CameraError
from agent.cameras.genicam.library import load


def _is_missing() -> bool:
    try:
        load()
    except CameraError:
        return True
    return False


needs_aravis = pytest.mark.skipif(_is_missing(), reason="needs libaravis-0.8-0: make system")
