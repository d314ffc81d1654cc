"""Terminals get colour where they want it; pipes get plain text and may be closed."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

PIPED = ["--help"], ["run", "--help"], ["schema", "weather"], ["camera", "list"]
BOX = "╭"


def environment(**more: str) -> dict[str, str]:
    colours = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "GITHUB_ACTIONS", "PY_COLORS")
    clean = {name: value for name, value in os.environ.items() if name not in colours}
    return {**clean, "TERM": "xterm-256color", **more}


def in_terminal(*words: str, **more: str) -> str:
    """What a command writes where its standard output and error are a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "agent", *words], stdout=theirs, stderr=theirs, env=environment(**more)
    ):
        os.close(theirs)
        written = bytearray()
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # how Linux says that the other end is closed
                break
            if not part:
                break
            written += part
    os.close(ours)
    return written.decode()


def in_pipe(*words: str, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "agent", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(**more),
        check=False,
    )
    return done.stdout.decode()


@pytest.mark.parametrize("words", PIPED, ids=" ".join)
@pytest.mark.parametrize("more", [{}, {"GITHUB_ACTIONS": "true"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}])
def test_a_pipe_gets_neither_colours_nor_boxes_nor_lines_cut_at_a_width(
    words: list[str], more: dict[str, str]
) -> None:
    text = in_pipe(*words, **more)
    assert "\x1b" not in text and BOX not in text
    if words == ["--help"]:
        assert "all is well; 1 done, and what was looked at" in text  # in one line
        assert "whoever read the output" in text.splitlines()[-1]


def test_a_terminal_gets_colours_unless_it_wants_none() -> None:
    assert "\x1b[" in in_terminal("--help")
    assert "\x1b" not in in_terminal("--help", NO_COLOR="1")
    assert "\x1b[3" not in in_terminal("--help", TERM="dumb")
    assert "\x1b[" in in_terminal("schema", "weather")
    assert "\x1b" not in in_terminal("schema", "weather", NO_COLOR="1")


def test_a_pipe_that_is_forced_gets_colours() -> None:
    assert "\x1b[" in in_pipe("--help", FORCE_COLOR="1")


@pytest.mark.parametrize("words", ["schema asyncapi", "--help", "bundle info BUNDLE"])
def test_a_reader_that_goes_away_ends_a_command_quietly(words: str, tmp_path: Path) -> None:
    from tests.agent.engines.small_bundle import write_small

    said = words.replace("BUNDLE", str(write_small(tmp_path / "small"))).split()
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, "-m", "agent", *said],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=environment(),
        check=False,
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_program_without_standard_files_says_nothing_and_ends_as_it_would(closed: str) -> None:
    command = f"{sys.executable} -m agent schema verdict {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (done.stdout == "") is (closed == ">&-")
