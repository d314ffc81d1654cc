"""The machine as the doctor sees it: files of the kernel and of the system, programs, clock."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.clock import Clock, SystemClock

MAX_TEXT_BYTES = 1_000_000
PROGRAM_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a program ended."""

    code: int
    out: str

    def values(self) -> dict[str, str]:
        """Of lines such as KEY=VALUE, as `systemctl show` prints them."""
        return dict(line.split("=", 1) for line in self.out.splitlines() if "=" in line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Read only. `root` is where proc, sys, etc and run are; `programs` are folders as in PATH."""

    root: Path = Path("/")
    programs: str = field(default_factory=lambda: os.environ.get("PATH", os.defpath))
    clock: Clock = field(default_factory=SystemClock)
    load: Callable[[str], Any] = ctypes.CDLL  # a shared library
    prefix: Path = Path(sys.prefix)  # of the Python environment

    def text(self, place: str) -> str | None:
        """A small text file below `root`; None where it is not there or may not be read."""
        try:
            with (self.root / place).open("rb") as file:
                return file.read(MAX_TEXT_BYTES).decode(errors="replace").strip()
        except OSError:
            return None

    def number(self, place: str) -> int | None:
        text = self.text(place)
        try:
            return None if text is None else int(text)
        except ValueError:
            return None

    def named(self, pattern: str) -> list[Path]:
        """What is there below `root`, in order."""
        try:
            return sorted(self.root.glob(pattern))
        except OSError:
            return []

    def ran(self, program: str, *words: str) -> Ran | None:
        """Its end; None where there is no such program, or it does not end in time."""
        place = shutil.which(program, path=self.programs)
        if place is None:
            return None
        try:
            done = subprocess.run(  # noqa: S603 - words of ours
                [place, *words],
                capture_output=True,
                timeout=PROGRAM_S,
                check=False,
                env={**os.environ, "LC_ALL": "C", "SYSTEMD_PAGER": ""},
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return Ran(code=done.returncode, out=done.stdout.decode(errors="replace"))
