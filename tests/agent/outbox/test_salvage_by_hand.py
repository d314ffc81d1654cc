"""`plumbline outbox salvage`: 0 with all, 1 with losses, 2 with nothing; it changes no file."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from tests.agent.cli.calling import Plumbline, process
from tests.agent.cli.conftest import plumbline as plumbline
from tests.agent.outbox.rows import crop, verdict
from tests.agent.outbox.test_salvage import PAGE, big, overwrite, pages_by_kind
from tests.brokers import DEADLINE_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "line [3].sqlite3"
    outbox = Outbox(Database(path, clock=ManualClock()))
    outbox.open()
    outbox.append([row for n in range(1, 101) for row in (big(verdict(n), 900), crop(n))]).result(DEADLINE_S)
    outbox.close()
    return path


WORDS = ("outbox", "salvage")


def test_what_is_whole_is_saved_with_exit_0(path: Path, plumbline: Plumbline) -> None:
    before = path.read_bytes()
    done = plumbline(*WORDS, path)
    assert done.code == 0, done.err
    assert "200 rows wait again" in done.out and "line [3].sqlite3.salvaged" in done.out
    assert path.read_bytes() == before
    again = plumbline(*WORDS, path)
    assert again.code == 2
    assert "not written over" in again.err


def test_losses_are_named_with_exit_1_and_the_fresh_file_goes_on(
    path: Path, tmp_path: Path, plumbline: Plumbline
) -> None:
    for page in pages_by_kind(path)["record"][3:6]:
        overwrite(path, page, random.Random(page).randbytes(PAGE))
    done = plumbline(*WORDS, path, "--into", tmp_path / "fresh.sqlite3")
    assert done.code == 1, done.err
    assert "verdicts among them (sequence " in done.out
    outbox = Outbox(Database(tmp_path / "fresh.sqlite3", clock=ManualClock()))
    outbox.open()
    assert outbox.last_sequence() == 100
    assert 150 < outbox.depth().rows < 200
    outbox.append([verdict(101)]).result(DEADLINE_S)
    outbox.close()


@pytest.mark.parametrize(
    "what", ["missing", "a folder", "empty", "a diary", "the folder of the fresh one", "in use", "itself"]
)
def test_what_cannot_be_is_said_with_exit_2_and_leaves_nothing(
    path: Path, tmp_path: Path, what: str, plumbline: Plumbline
) -> None:
    damaged, options = tmp_path / "damaged", []
    outbox = None
    match what:
        case "a folder":
            damaged.mkdir()
        case "empty":
            damaged.touch()
        case "a diary":
            damaged.write_text("dear diary " * 9000)
        case "the folder of the fresh one":
            damaged, options = path, ["--into", str(tmp_path / "no" / "fresh")]
        case "itself":
            damaged, options = path, ["--into", str(path)]
        case "in use":
            damaged = path
            outbox = Outbox(Database(path, clock=ManualClock()))
            outbox.open()
    there = sorted(tmp_path.iterdir())
    if outbox is None:
        done = plumbline(*WORDS, damaged, *options)
    else:  # by a process of its own, as whoever has it open is another
        done = process("-m", "agent", *WORDS, damaged, *options)
    if outbox is not None:
        outbox.close()
    assert done.code == 2, done.out
    assert done.err.startswith("plumbline: ") and "Traceback" not in done.err
    assert sorted(one for one in tmp_path.iterdir() if one in there) == sorted(
        one for one in there if one.exists()
    )
    assert not list(tmp_path.glob("*salvaged*")) and not (tmp_path / "no").exists()
