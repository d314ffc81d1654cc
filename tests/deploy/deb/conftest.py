from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.deb.box import Box


@pytest.fixture
def box(tmp_path: Path) -> Box:
    machine = Box(tmp_path)
    machine.make()
    return machine
