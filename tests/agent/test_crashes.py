"""What a crash leaves is told by the next start, in the station's own log, and kept once."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from agent import crashes


@pytest.fixture(autouse=True)
def handler_as_before() -> Iterator[None]:
    yield
    faulthandler.enable()


def test_the_stacks_of_a_crash_before_are_told_and_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "crash.log").write_text("Fatal Python error: Aborted\n" + "  File x\n" * 50)
    (tmp_path / "crash.log.before").write_text("an older one")
    with structlog.testing.capture_logs() as said:
        crashes.keep_in(tmp_path)
    assert [one["event"] for one in said] == ["crashed_before"]
    assert said[0]["stacks"][0] == "Fatal Python error: Aborted" and len(said[0]["stacks"]) == 12
    assert (tmp_path / "crash.log.before").read_text().startswith("Fatal")
    assert (tmp_path / "crash.log").read_text() == ""


def test_without_a_crash_nothing_is_told(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as said:
        crashes.keep_in(tmp_path)
        crashes.keep_in(tmp_path)
    assert said == []


def test_a_folder_that_is_not_there_stops_nothing_and_is_said(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as said:
        crashes.keep_in(tmp_path / "gone")
    assert [one["event"] for one in said] == ["crashes_not_kept"]


def test_a_pipe_in_place_of_the_file_stops_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "crash.log")
    with structlog.testing.capture_logs() as said:
        crashes.keep_in(tmp_path)
    assert [one["event"] for one in said] == ["crashes_not_kept"]
