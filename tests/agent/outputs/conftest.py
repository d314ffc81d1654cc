"""A PLC that is there for one test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agent.outputs.plc import ModbusPlc


@pytest.fixture
def plc() -> Iterator[ModbusPlc]:
    one = ModbusPlc()
    one.start()
    yield one
    one.stop()
