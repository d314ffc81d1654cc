"""A simulated camera in a process of its own, as a test holds it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.gige.belt import Counts

ROOT = Path(__file__).resolve().parents[2]


_addresses = itertools.count(64)


def free_address() -> str:
    """A loopback address that no other process's tests take: GigE Vision has one port only."""
    pid = os.getpid()
    return f"127.{next(_addresses) % 192 + 1}.{pid >> 7 & 127}.{(pid & 127) + 1}"


@dataclass(slots=True)
class SimulatedCamera:
    """Runs within the `with`; `cue` says what goes wrong next and gives the counts."""

    arguments: dict[str, Any] = field(default_factory=dict)
    address: str = field(default_factory=free_address)
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> SimulatedCamera:
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.gige", "--address", self.address]
        for name, value in self.arguments.items():
            command.append(f"--{name.replace('_', '-')}")
            if value is not True:
                command.append(str(value))
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._read()

    def cue(self, **cues: Any) -> Counts:
        assert self._process is not None and self._process.stdin is not None
        print(json.dumps(cues), file=self._process.stdin, flush=True)
        return self._read()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _read(self) -> Counts:
        assert self._process is not None and self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulated camera at {self.address} ended; its error stands above")
        return Counts(**json.loads(line))
