"""What a package is made for: a Python, an architecture, and the wheels that fit both."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Python = Literal["310", "311", "312"]
Arch = Literal["amd64", "arm64"]
PYTHONS: tuple[Python, ...] = get_args(Python)
ARCHES: tuple[Arch, ...] = get_args(Arch)
MACHINES: dict[Arch, str] = {"amd64": "x86_64", "arm64": "aarch64"}

GLIBC = 35  # Ubuntu 22.04 (JetPack 6) has 2.35, the oldest we install on; Debian 12 has 2.36
LOCKS = Path(__file__).resolve().parent / "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One package's Python and architecture."""

    python: Python
    arch: Arch

    @property
    def dotted(self) -> str:
        """`3.11` for 311."""
        return f"{self.python[0]}.{self.python[1:]}"

    @property
    def next_dotted(self) -> str:
        """`3.12` for 311: the first Python that the wheels do not fit."""
        return f"{self.python[0]}.{int(self.python[1:]) + 1}"

    @property
    def lock(self) -> Path:
        return LOCKS / f"py{self.python}.txt"

    def pip_flags(self) -> list[str]:
        """What tells pip to choose wheels for this target rather than for its own machine.

        pip takes each --platform by itself and derives no older one from it.
        """
        machine = MACHINES[self.arch]
        tags = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 16, -1)]
        tags += [f"manylinux2014_{machine}"]
        return [
            "--only-binary=:all:",
            "--implementation=cp",
            f"--python-version={self.dotted}",
            *(f"--platform={tag}" for tag in tags),
        ]


def python_here() -> Python:
    """This interpreter's Python. Raises SystemExit where no package is made for it."""
    here = f"{sys.version_info.major}{sys.version_info.minor}"
    for python in PYTHONS:
        if python == here:
            return python
    raise SystemExit(f"Python {here[0]}.{here[1:]}: packages are made with 3.10, 3.11 or 3.12; set PYTHON=")


def arch_here() -> Arch:
    """This machine's architecture. Raises SystemExit where no package is made for it."""
    for arch, machine in MACHINES.items():
        if machine == platform.machine():
            return arch
    raise SystemExit(f"{platform.machine()}: packages are made for amd64 and arm64")
