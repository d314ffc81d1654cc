"""A gate at a GPIO line of this machine, through libgpiod 2; the heartbeat is another line, which toggles.

When the agent's process ends, however it ends, the kernel lets go of its lines: what they are then is up to
the board, so wire them with a resistor that shuts the gate, or opens it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gpiod
from gpiod.line import Direction, Value

from agent.outputs.gate import GateError
from agent.settings.outputs import GpioGate

CONSUMER = "plumbline"


class GpioLine:
    """A line is taken, as an output, with the first level that it is given, and is then ours alone."""

    def __init__(self, settings: GpioGate, library: Any = gpiod) -> None:
        """`library` has gpiod's `Chip` and `request_lines`."""
        self._settings = settings
        self._library = library
        self._taken: dict[int | str, gpiod.LineRequest] = {}

    def open(self) -> None:
        """Raises GateError where a line is not there, or is somebody else's."""
        settings = self._settings
        try:
            with self._library.Chip(str(settings.chip)) as chip:
                for line in (settings.line, settings.heartbeat_line):
                    if line is None:
                        continue
                    info = chip.get_line_info(line)
                    if info.used and info.consumer != CONSUMER:
                        raise GateError(
                            f"GPIO {settings.chip}: line {line!r} is used by {info.consumer or 'the kernel'};"
                            " name another one, or stop that"
                        )
        except (OSError, ValueError) as error:
            raise _explained(settings.chip, error) from error

    def set(self, high: bool) -> None:
        self._put(self._settings.line, high)

    def beat(self, high: bool) -> None:
        if self._settings.heartbeat_line is not None:
            self._put(self._settings.heartbeat_line, high)

    def close(self) -> None:
        taken, self._taken = self._taken, {}
        for request in taken.values():
            request.release()

    def _put(self, line: int | str, high: bool) -> None:
        value = Value.ACTIVE if high else Value.INACTIVE
        try:
            if line in self._taken:
                self._taken[line].set_value(line, value)
            else:
                asked = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=value)
                self._taken[line] = self._library.request_lines(
                    str(self._settings.chip), {line: asked}, consumer=CONSUMER
                )
        except (OSError, ValueError) as error:
            raise _explained(self._settings.chip, error) from error


def _explained(chip: Path, error: Exception) -> GateError:
    match error:
        case FileNotFoundError():
            remedy = "there is no such chip or line; `gpiodetect` and `gpioinfo` list them"
        case PermissionError():
            remedy = "let the agent's user use it, as members of the group gpio may"
        case _:
            remedy = "`gpioinfo` lists the lines, and who holds them"
    return GateError(f"GPIO {chip}: {error}; {remedy}")
