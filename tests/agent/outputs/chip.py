"""A GPIO chip in software, as libgpiod 2 shows one: a line is one process's, from request to release."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gpiod.line import Direction, Value
from gpiod.line_settings import LineSettings

PATH = "/dev/gpiochip7"


@dataclass(slots=True)
class Info:
    used: bool
    consumer: str


@dataclass(slots=True)
class FakeGpio:
    """Lines by offset, some with a name; stands for the module gpiod."""

    names: Mapping[str, int] = field(default_factory=lambda: {"GATE": 17, "ALIVE": 27})
    lines: int = 32
    held: dict[int, str] = field(default_factory=dict)  # consumer, by offset
    levels: dict[int, list[bool]] = field(default_factory=dict)
    is_gone: bool = False

    @contextmanager
    def Chip(self, path: str) -> Any:
        self._find(path)
        yield self

    def get_line_info(self, line: int | str) -> Info:
        offset = self._offset(line)
        return Info(used=offset in self.held, consumer=self.held.get(offset, ""))

    def request_lines(
        self, path: str, config: Mapping[int | str, LineSettings], *, consumer: str
    ) -> FakeRequest:
        self._find(path)
        offsets = {line: self._offset(line) for line in config}
        for offset in offsets.values():
            if offset in self.held:
                raise OSError(errno.EBUSY, "Device or resource busy")
        for line, settings in config.items():
            assert settings.direction is Direction.OUTPUT
            self.held[offsets[line]] = consumer
            self.levels.setdefault(offsets[line], []).append(settings.output_value is Value.ACTIVE)
        return FakeRequest(self, offsets)

    def _find(self, path: str) -> None:
        if path != PATH or self.is_gone:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    def _offset(self, line: int | str) -> int:
        if isinstance(line, str):
            if line not in self.names:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory")
            return self.names[line]
        if line >= self.lines:
            raise ValueError("line offset of out range")
        return line


@dataclass(slots=True)
class FakeRequest:
    chip: FakeGpio
    offsets: Mapping[int | str, int]
    is_released: bool = False

    def set_value(self, line: int | str, value: Value) -> None:
        assert not self.is_released
        if self.chip.is_gone:
            raise OSError(errno.ENODEV, "No such device")
        self.chip.levels[self.offsets[line]].append(value is Value.ACTIVE)

    def release(self) -> None:
        self.is_released = True
        for offset in self.offsets.values():
            del self.chip.held[offset]
