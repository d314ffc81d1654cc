"""The suite by rooms: nothing is left out, and a crash is told by the test that it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rooms import APART, FIRST, HERE, Load, Result, rooms, run_all, run_room, table

WAITS = """
import pathlib, time
def test_it():
    at = pathlib.Path(__file__)
    at.with_suffix(".begun").write_text(str(time.monotonic()))
    while len([*at.parent.glob("*.begun")]) < {others}:
        time.sleep(0.01)
    at.with_suffix(".ended").write_text(str(time.monotonic()))
"""


def test_every_test_file_is_in_one_room() -> None:
    files = [file for room in rooms().values() for file in room]
    apart = {*(HERE / APART).rglob("test_*.py")}
    assert sorted(files) == sorted({*HERE.rglob("test_*.py")} - apart)
    assert apart
    parted = {"agent/line", "browser/2", "deploy", "deploy/deb", "e2e/2", "models", "models/methods", "tests"}
    assert parted <= set(rooms())
    assert {*FIRST} <= set(rooms())


def room(folder: Path, **tests: str) -> Result:
    file = folder / "test_made_up.py"
    file.write_text("import os, signal\n" + "".join(f"def test_{n}(): {body}\n" for n, body in tests.items()))
    return run_room("made up", [file], ["-p", "no:cacheprovider"])[0]


def test_a_crash_is_told_by_the_test_that_it_ended(tmp_path: Path) -> None:
    result = room(tmp_path, one="pass", two="os.kill(os.getpid(), signal.SIGKILL)", three="pass")
    assert not result.is_good
    assert result.ending().startswith("SIGKILL in ")
    assert result.ending().endswith("test_made_up.py::test_two")
    assert table([result]).endswith("\n0 passed, 1 failed, 0 skipped")


@pytest.mark.parametrize(("body", "code", "failed"), [("pass", 0, 0), ("assert 0", 1, 1)])
def test_outcomes_are_counted(tmp_path: Path, body: str, code: int, failed: int) -> None:
    result = room(tmp_path, one="pass", two=body)
    assert (result.code, result.failed, result.counts["passed"]) == (code, failed, 2 - failed)


def test_what_one_process_of_a_room_compiles_the_next_one_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "conftest.py").write_text("")
    (tmp_path / "made_up.py").write_text("")
    assert room(tmp_path, one="import made_up").is_good
    assert [*tmp_path.glob("__pycache__/made_up.*.pyc")]


@pytest.mark.parametrize("is_idle", [True, False])
def test_more_rooms_than_cores_run_at_once_where_a_core_is_idle(
    is_idle: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    monkeypatch.setattr(Load, "has_room", lambda _: is_idle)
    files = [tmp_path / f"test_{name}.py" for name in ("one", "other")]
    for file in files:
        file.write_text(WAITS.format(others=len(files) if is_idle else 1))
    every = {file.stem: [file] for file in files}
    assert all(result.is_good for result, _ in run_all(every, ["-p", "no:cacheprovider"]))
    begun, ended = (
        [float(one.read_text()) for one in tmp_path.glob(f"*.{kind}")] for kind in ("begun", "ended")
    )
    assert (max(begun) < min(ended)) is is_idle


def test_a_file_that_cannot_be_imported_fails_its_room(tmp_path: Path) -> None:
    file = tmp_path / "test_made_up.py"
    file.write_text("import nothing_of_that_name\n")
    result, printed = run_room("made up", [file], ["-p", "no:cacheprovider"])
    assert "nothing_of_that_name" in printed
    assert (result.is_good, result.failed) == (False, 1)


def test_a_room_whose_tests_are_all_slow_fails_whatever_the_options_leave(tmp_path: Path) -> None:
    file = tmp_path / "test_made_up.py"
    file.write_text("import pytest\npytestmark = pytest.mark.slow\ndef test_one(): pass\n")
    for options in ([], ["-m", "not slow"]):
        result, printed = run_room("made up", [file], [*options, "-p", "no:cacheprovider"])
        assert "make test-fast would not touch it" in printed
        assert (result.is_good, result.failed) == (False, 1)


def test_a_room_of_which_the_options_leave_nothing_is_no_failure(tmp_path: Path) -> None:
    file = tmp_path / "test_made_up.py"
    file.write_text("def test_one(): pass\n")
    result, _ = run_room("made up", [file], ["-k", "nothing", "-p", "no:cacheprovider"])
    assert (result.is_good, result.failed) == (True, 0)
