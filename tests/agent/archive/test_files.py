"""A file is whole or not there, wherever a crash cuts; what is somebody else's is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from agent.archive import files
from tests.agent.archive.records import result_id

ROOT = Path(__file__).parents[3]
DAY = "2026-11-24"
ID = result_id(1)
PIECES: list[bytes | memoryview] = [b"one ", memoryview(b"two "), b"", b"three"]
CALLS = ("open", "writev", "fsync", "fstat", "close")


def path_of(folder: Path, number: int = 1) -> Path:
    return files.place(folder, result_id(number), f"{DAY}T07:15:03.412Z")


def test_an_entry_lies_under_its_day(tmp_path: Path) -> None:
    assert path_of(tmp_path) == tmp_path / DAY / f"{ID}.png"


@pytest.mark.parametrize("id_", ["", "../up", "a/b", "a b", "x" * 65, "é"])
def test_an_id_that_is_no_name_is_refused(tmp_path: Path, id_: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a file name"):
        files.place(tmp_path, id_, f"{DAY}T07:15:03.412Z")


@pytest.mark.parametrize("created", ["", "yesterday", "2026-11", "../../../etc"])
def test_a_time_without_a_day_is_refused(tmp_path: Path, created: str) -> None:
    with pytest.raises(ValueError, match="does not begin with a day"):
        files.place(tmp_path, ID, created)


def test_a_file_has_all_of_its_pieces_and_is_found(tmp_path: Path) -> None:
    path = path_of(tmp_path)
    put = files.put(path, PIECES)
    assert path.read_bytes() == b"one two three"
    assert list(files.scan(tmp_path)) == [put]
    assert (put.id, put.day, put.size, put.mtime_ns) == (ID, DAY, 13, path.stat().st_mtime_ns)


def test_more_pieces_than_one_call_takes_are_written_in_order(tmp_path: Path) -> None:
    pieces = [f"{number} ".encode() for number in range(1000)]
    files.put(path_of(tmp_path), list(pieces))
    assert path_of(tmp_path).read_bytes() == b"".join(pieces)


def test_a_disk_that_takes_a_few_bytes_at_a_time_gets_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "writev", lambda file, pieces: os.write(file, b"".join(pieces)[:3]))
    files.put(path_of(tmp_path), PIECES)
    assert path_of(tmp_path).read_bytes() == b"one two three"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("is_new", [True, False])
def test_a_call_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, is_new: bool
) -> None:
    path = path_of(tmp_path)
    if not is_new:
        files.put(path, [b"before"])

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space left"):
            files.put(path, PIECES)
    assert [one.name for one in path.parent.iterdir()] == ([] if is_new else [path.name])
    if not is_new:
        assert path.read_bytes() == b"before"


KILLED_AT = """
import os, signal, sys
from pathlib import Path
from agent.archive import files

call, folder = sys.argv[1], Path(sys.argv[2])
path = files.place(folder, "{id}", "{day}T07:15:03.412Z")
files.put(path, [b"before"])
where = Path if call == "replace" else os
real = getattr(where, call)

def die(*args, **more):
    if call == "writev" and "half" in sys.argv:
        os.write(args[0], b"ha")
    os.kill(os.getpid(), signal.SIGKILL)

setattr(where, call, die)
files.put(path, [b"afterwards"])
"""


@pytest.mark.parametrize("call", [*CALLS, "replace", "writev half"])
def test_a_process_killed_before_any_step_leaves_a_whole_entry(tmp_path: Path, call: str) -> None:
    program = textwrap.dedent(KILLED_AT).format(id=ID, day=DAY)
    name, *more = call.split()
    ended = subprocess.run([sys.executable, "-c", program, name, str(tmp_path), *more], cwd=ROOT, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    files.sweep(tmp_path)
    found = list(files.scan(tmp_path))
    assert [one.id for one in found] == [ID]
    assert path_of(tmp_path).read_bytes() == b"before"
    assert [one.name for one in (tmp_path / DAY).iterdir()] == [f"{ID}.png"]


def test_only_our_own_unfinished_files_are_removed(tmp_path: Path) -> None:
    day = tmp_path / DAY
    day.mkdir()
    theirs = ["notes.txt", ".hidden", "a b.png", ".a b.png.part", "x.png.part", f"{ID}.jpg"]
    for name in theirs:
        (day / name).write_text("theirs")
    (day / f".{ID}.png.part").write_text("ours, and torn")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / f"{ID}.png").write_text("theirs")
    (tmp_path / "2026-11-25").write_text("a file")
    (tmp_path / "2026-11-26").symlink_to(tmp_path / "photos")
    (day / f"{result_id(2)}.png").mkdir()
    (day / f"{result_id(3)}.png").symlink_to(tmp_path / "2026-11-25")
    assert list(files.scan(tmp_path)) == []
    files.sweep(tmp_path)
    assert sorted(one.name for one in day.iterdir() if one.is_file() and not one.is_symlink()) == sorted(
        theirs
    )
    assert (tmp_path / "photos" / f"{ID}.png").exists()


def test_the_last_entry_of_a_day_takes_its_folder_along(tmp_path: Path) -> None:
    for number in (1, 2):
        files.put(path_of(tmp_path, number), PIECES)
    files.remove(path_of(tmp_path, 1))
    assert path_of(tmp_path, 2).exists()
    files.remove(path_of(tmp_path, 2))
    assert not (tmp_path / DAY).exists()
    files.remove(path_of(tmp_path, 2))  # gone already


def test_a_torn_entry_is_moved_out_of_the_way(tmp_path: Path) -> None:
    files.put(path_of(tmp_path), PIECES)
    assert files.torn(tmp_path) == 0
    assert files.set_aside(tmp_path, path_of(tmp_path)).read_bytes() == b"one two three"
    assert files.torn(tmp_path) == 1 and not path_of(tmp_path).exists()


def test_the_trial_of_a_folder_leaves_nothing(tmp_path: Path) -> None:
    files.take_room(tmp_path, 1_000_000)
    files.take_room(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []
