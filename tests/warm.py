"""Processes that begin with the agent imported: each is forked from one that did nothing else.

An agent's start computes a second, nearly all of it imports, and stories from end to end start sixty. What a
start itself promises is tested with processes that import for themselves.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import types
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).parents[1]
IMPORTED = (  # what `plumbline run` imports, torch never
    *("agent.cli.main", "agent.cli.validate", "agent.crashes", "agent.app", "agent.doctor.references"),
    *("agent.service", "agent.remote.settings.desk", "agent.systemd", "onnxruntime"),
)
REQUEST_BYTES = 1 << 20  # words and environment
END_TIMEOUT_S = 60


class Process:
    """As much of `subprocess.Popen` as an agent's tests want; a child of the one that it was forked from."""

    def __init__(self, pid: int, told: socket.socket) -> None:
        """`told` hears once how it ended."""
        self.pid = pid
        self.returncode: int | None = None
        self._told = told

    def poll(self) -> int | None:
        """The exit code, negative where a signal ended it; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; `subprocess.TimeoutExpired` where it runs on."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(int(self._told.recv(32)))
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    words: Sequence[str], *, output: BinaryIO, errors: BinaryIO, environment: Mapping[str, str]
) -> Process:
    """As `python WORDS` in this folder, with `-c CODE` or `-m MODULE` first."""
    ours, theirs = socket.socketpair()
    request = {"words": list(words), "environment": dict(environment), "folder": str(Path.cwd())}
    with theirs:
        fds = [theirs.fileno(), output.fileno(), errors.fileno()]
        socket.send_fds(_warmed(), [json.dumps(request).encode()], fds)
    return Process(int(ours.recv(32)), ours)


@cache
def _warmed() -> socket.socket:
    """How the one is asked that all are forked from; it ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        one = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )

    def end() -> None:
        ours.close()
        one.wait(END_TIMEOUT_S)

    atexit.register(end)
    return ours


def serve(asked: socket.socket) -> dict[str, Any] | None:
    """Fork for every request: returns it in the child, and None where nobody asks any more."""
    running: dict[int, tuple[int, socket.socket]] = {}  # by the descriptor that becomes readable with its end
    while True:
        ready, _, _ = select.select([asked, *running], [], [])
        for ended in running.keys() & set(ready):
            pid, told = running.pop(ended)
            _, status = os.waitpid(pid, 0)
            with suppress(OSError):  # nobody listens
                told.send(str(status).encode())
            told.close()
            os.close(ended)
        if asked in ready:
            request, fds, _, _ = socket.recv_fds(asked, REQUEST_BYTES, 3)
            if not request:
                return None
            told, output, errors = socket.socket(fileno=fds[0]), fds[1], fds[2]
            if not (pid := os.fork()):
                os.dup2(output, 1)
                os.dup2(errors, 2)
                for one in (asked, told, *(other for _, other in running.values())):
                    one.close()
                for number in (output, errors, *running):
                    os.close(number)
                return dict(json.loads(request))
            os.close(output)
            os.close(errors)
            told.send(str(pid).encode())
            running[os.pidfd_open(pid)] = (pid, told)


def become(words: Sequence[str], environment: Mapping[str, str], folder: str) -> None:
    """What `python WORDS` does."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    option, what, *rest = words
    sys.argv = [option, *rest]
    if option == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    exec(compile(what, "<string>", "exec"), main.__dict__)


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    if (given := serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        become(**given)
