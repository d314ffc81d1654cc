"""A station in a folder, on a machine whose /proc, /sys, /etc and programs are real files in that folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from agent.clock import Clock, ManualClock
from agent.doctor.finding import Said
from agent.doctor.machine import Machine
from agent.doctor.site import Site, site_of
from agent.engines.gpu.device import LIBRARY

Look = Callable[[Site], Iterable[Said]]
REAL = Path("/")


def no_library(name: str) -> Any:
    raise OSError(f"{name}: cannot open shared object file")


def machine(folder: Path, **changes: Any) -> Machine:
    """Nothing in it but what a test puts there."""
    (folder / "root").mkdir(exist_ok=True)
    given: dict[str, Any] = {
        "root": folder / "root",
        "programs": str(folder / "bin"),
        "clock": ManualClock(synced=True),
        "load": no_library,
    }
    return Machine(**{**given, **changes})


def site(folder: Path, *, on: Machine | None = None, **sections: object) -> Site:
    """With settings of these sections."""
    file = folder / "agent.yaml"
    file.write_text(yaml.safe_dump({"revision": 1, "page": {"enabled": False}, **sections}))
    made = site_of(file, on or machine(folder))
    assert made.problems == ()
    return made


def put(folder: Path, **files: object) -> None:
    """Files below the machine's root; `__` in a name stands for a slash."""
    for name, content in files.items():
        write(folder, name.replace("__", "/"), content)


def write(folder: Path, place: str, content: object) -> Path:
    path = folder / "root" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{content}\n")
    return path


def program(folder: Path, name: str, *lines: str) -> None:
    """One that prints these."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", "cat << 'END'", *lines, "END", ""]))
    path.chmod(0o755)


def states(look: Look, at: Site) -> list[str]:
    """What each thing that is said of it amounts to; what is not good has a remedy."""
    found = list(look(at))
    assert all(one.words for one in found)
    assert [one.words for one in found if bool(one.remedy) != (one.state in ("note", "wrong"))] == []
    return [one.state for one in found]


def told(look: Look, at: Site, state: str) -> Said:
    """The one thing that is said in this state."""
    (one,) = (one for one in look(at) if one.state == state)
    return one


@contextmanager
def running_agent(lock: Path, *words: str) -> Iterator[int]:
    """A process that holds an outbox's lock, called by these words; it listens on a port that ends them."""
    code = (
        "import fcntl, os, socket, sys\n"
        "held = open(sys.argv[1], 'a+')\n"
        "fcntl.flock(held, fcntl.LOCK_EX)\n"
        "held.truncate(0); held.write(f'{os.getpid()}\\n'); held.flush()\n"
        "port = sys.argv[-1]\n"
        "listening = socket.create_server(('127.0.0.1', int(port))) if port.isdigit() else None\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, lock, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process.pid
    finally:
        process.communicate()


class Driver:
    """libcuda as far as it is asked: `code` is what cuInit answers."""

    def __init__(self, code: int = 0) -> None:
        self._code = code

    def __call__(self, name: str) -> Driver:
        assert name == LIBRARY
        return self

    def cuInit(self, flags: int) -> int:
        return self._code

    def cuDriverGetVersion(self, place: Any) -> int:
        place._obj.value = 13000
        return 0

    def cuDeviceGet(self, place: Any, number: int) -> int:
        return 0

    def cuDeviceGetName(self, buffer: Any, size: int, device: Any) -> int:
        buffer.value = b"Orin"
        return 0

    def cuDeviceGetAttribute(self, place: Any, attribute: int, device: Any) -> int:
        place._obj.value = 8
        return 0

    def cuGetErrorString(self, code: int, place: Any) -> int:
        place._obj.value = b"unknown error"
        return 0


class Leaping(ManualClock):
    """A clock that leaps whenever it is looked at, as if what lies between two looks took so long."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def monotonic_ns(self) -> int:
        self.advance(self._seconds)
        return super().monotonic_ns()


def at(clock: Clock, folder: Path) -> Machine:
    return machine(folder, clock=clock)
