"""Commands, called in this process or in one of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import yaml

from tests import warm

CONFIG = Path(__file__).resolve().parents[3] / "config"
TIMEOUT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def complaint(self) -> str:
        """The one line on standard error."""
        (line,) = self.err.splitlines()
        assert "Traceback" not in line
        return line


Plumbline = Callable[..., Ended]


def environment() -> dict[str, str]:
    """This process's, without settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")}


def process(*words: str | Path, timeout_s: float = TIMEOUT_S) -> Ended:
    """Python in a process of its own."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=environment(),
    )
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


def forked(*words: str | Path, timeout_s: float = TIMEOUT_S) -> Ended:
    """The same, forked from one that has imported the agent: for words whose start is not the point."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun = warm.start([*map(str, words)], output=out, errors=err, environment=environment())
        try:
            code = begun.wait(timeout_s)
        finally:
            begun.kill()
        return Ended(code=code, out=_written(out), err=_written(err))


def _written(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode()


def config(folder: Path, **sections: object) -> Path:
    """A settings file without page and broker."""
    path = folder / "agent.yaml"
    quiet = {"page": {"enabled": False}, "mqtt": {"port": 1}, "outbox": {"path": "outbox.sqlite3"}}
    path.write_text(yaml.safe_dump({**quiet, **sections}))
    return path


def named_in_help(plumbline: Plumbline, *words: str, fields: Iterable[str]) -> bool:
    """Whether the help of a command names every field that it prints as JSON."""
    told = set(re.findall(r"\w+", plumbline(*words, "--help").out.partition("With --json:")[2]))
    return set(fields) <= told
