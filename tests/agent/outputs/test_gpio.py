"""A gate at a GPIO line: taken with its first level, let go of at the end, and its faults in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.outputs.gate import GateError
from agent.outputs.gpio import CONSUMER, GpioLine
from agent.settings.outputs import GpioGate
from tests.agent.outputs.chip import PATH, FakeGpio


def line(chip: FakeGpio, line: int | str = 17, heartbeat: int | str | None = None) -> GpioLine:
    return GpioLine(GpioGate(chip=Path(PATH), line=line, heartbeat_line=heartbeat), chip)


def test_a_line_is_moved_and_let_go_of() -> None:
    chip = FakeGpio()
    gate = line(chip, "GATE", "ALIVE")
    gate.open()
    assert chip.held == {}  # nothing is moved before the first level is known
    for high in (False, True, False):
        gate.set(high)
        gate.beat(not high)
    assert chip.levels == {17: [False, True, False], 27: [True, False, True]}
    assert chip.held == {17: CONSUMER, 27: CONSUMER}
    gate.close()
    assert chip.held == {}


def test_a_line_of_somebody_else_is_refused_by_his_name() -> None:
    chip = FakeGpio(held={17: "conveyor"})
    with pytest.raises(GateError, match="line 17 is used by conveyor; name another one"):
        line(chip).open()


@pytest.mark.parametrize(
    ("wanted", "words"), [("NONE", "no such chip or line; `gpiodetect`"), (99, "`gpioinfo` lists the lines")]
)
def test_a_line_that_is_not_there_is_told_with_what_lists_them(wanted: int | str, words: str) -> None:
    with pytest.raises(GateError, match=words):
        line(FakeGpio(), wanted).open()


def test_a_chip_that_goes_away_is_told_and_the_gate_opens_when_it_is_back() -> None:
    chip = FakeGpio()
    gate = line(chip)
    gate.open()
    gate.set(False)
    chip.is_gone = True
    with pytest.raises(GateError, match="No such device"):
        gate.set(True)
    gate.close()
    with pytest.raises(GateError, match="there is no such chip"):
        gate.open()
    chip.is_gone = False
    gate.open()
    gate.set(True)
    assert chip.levels[17] == [False, True]


def test_the_library_itself_says_of_a_chip_that_is_not_there_what_we_tell(tmp_path: Path) -> None:
    """libgpiod, not the fake."""
    gate = GpioLine(GpioGate(chip=tmp_path / "gpiochip9", line=1))
    with pytest.raises(GateError, match="there is no such chip or line"):
        gate.open()
    no_chip = tmp_path / "file"
    no_chip.touch()
    with pytest.raises(GateError, match=r"GPIO .*file: "):
        GpioLine(GpioGate(chip=no_chip, line=1)).open()
