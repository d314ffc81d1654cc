"""`plumbline archive` says how full the archive is and ends with 1 when a frame in it is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from agent.archive import files, look
from agent.archive.index import NAME
from agent.cli.exit_codes import NotGood
from agent.cli.main import app
from agent.errors import PlumblineError
from tests.agent.archive.records import result_id, verdict
from tests.agent.archive.test_look import filled


def call(at: Path, *words: str, **archive: object) -> Result:
    config = at / "agent.yaml"
    config.write_text(yaml.safe_dump({"archive": archive}))
    return CliRunner().invoke(app, ["archive", *words, "-c", str(config)], catch_exceptions=True)


def test_info_says_what_is_kept_beside_a_running_agent(tmp_path: Path) -> None:
    one = filled(tmp_path / "archive")
    done = call(tmp_path, "info", folder="archive")
    one.close()
    assert done.exit_code == 0
    first, second, third = done.output.splitlines()
    assert first == f"{tmp_path / 'archive'}: 3 frames, 0.0 of 10000 MB"
    assert second == f"  {verdict(1).created} to {verdict(3).created}"
    assert third == "  1 fail, 1 pass, 1 undecided; 1 marked by people"


def test_check_names_a_damaged_frame_and_ends_with_1(tmp_path: Path) -> None:
    filled(tmp_path / "archive").close()
    assert call(tmp_path, "check", folder="archive").exit_code == 0
    damaged = tmp_path / "archive" / verdict(1).created[:10] / f"{result_id(1)}.png"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    done = call(tmp_path, "check", folder="archive")
    assert isinstance(done.exception, NotGood)
    assert str(done.exception) == f"{tmp_path / 'archive'}: 2 frames are sound, 1 are not"
    assert done.output.splitlines() == [f"{damaged}: it is cut short; nothing of it can be relied on"]


def test_the_index_is_made_anew_when_asked_and_nobody_has_it(tmp_path: Path) -> None:
    one = filled(tmp_path / "archive")
    beside = call(tmp_path, "check", "--rebuild", folder="archive")
    assert isinstance(beside.exception, PlumblineError) and "another agent has it" in str(beside.exception)
    one.close()
    with closing(sqlite3.connect(tmp_path / "archive" / NAME)) as database, database:
        database.execute("UPDATE entry SET verdict = 'pass'")
    assert look.summary(tmp_path / "archive").verdicts == {"pass": 3}
    done = call(tmp_path, "check", "--rebuild", folder="archive")
    assert done.exit_code == 0
    assert "the index was made anew and has 3 frames" in done.output
    assert look.summary(tmp_path / "archive").verdicts == {"fail": 1, "pass": 1, "undecided": 1}
    assert len(list(files.scan(tmp_path / "archive"))) == 3


@pytest.mark.parametrize("command", ["info", "check"])
def test_a_station_that_keeps_none_says_how_to(tmp_path: Path, command: str) -> None:
    done = call(tmp_path, command)
    assert isinstance(done.exception, PlumblineError)
    assert str(done.exception) == "archive.folder is not set, so no frames are kept; name a folder there"
