"""A command of this process, and a bundle for it."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import pytest
import typer

from agent.cli.main import main
from tests.agent.cli.calling import Ended, Plumbline
from tests.agent.engines.small_bundle import write_small

made = functools.cache(typer.main.get_command)  # all fifty commands, whichever is called


@pytest.fixture
def plumbline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Plumbline:
    """A command in this process: a trace would be this test's own failure."""
    for name in [name for name in os.environ if name.startswith("PLUMBLINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(typer.main, "get_command", made)

    def call(*words: str | Path) -> Ended:
        capsys.readouterr()  # what was said before is not the command's
        monkeypatch.setattr(sys, "argv", ["plumbline", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return Ended(code=int(end.value.code or 0), out=captured.out, err=captured.err)

    return call


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_small(tmp_path / "small")
