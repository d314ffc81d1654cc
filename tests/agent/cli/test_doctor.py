"""`plumbline doctor` says what is wrong, and ends with 1 when something is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.doctor.checks.table import FAMILIES
from tests.agent.cli.calling import Plumbline, config, named_in_help
from tests.agent.engines.small_bundle import write_small

UPGRADE = [word for name in ("settings", "bundle", "engine", "outbox") for word in ("--family", name)]
FOLDER = {"kind": "folder", "path": "frames", "watch": True}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_small(tmp_path / "bundle")
    (tmp_path / "frames").mkdir()
    return config(tmp_path, cameras=[{"name": "top", "source": FOLDER}], engine={"kind": "onnxruntime"})


def test_what_an_upgrade_asks_of_a_good_station_ends_with_0(plumbline: Plumbline, file: Path) -> None:
    before = sorted(file.parent.rglob("*"))
    ended = plumbline("doctor", "-c", file, *UPGRADE)
    assert (ended.code, ended.err) == (0, "")
    assert "ok      engine: golden scores: onnxruntime" in ended.out
    assert ended.out.splitlines()[-1].startswith("0 wrong, ")
    assert sorted(file.parent.rglob("*")) == before


def test_what_is_wrong_has_its_remedy_in_the_line_and_ends_with_1(plumbline: Plumbline, file: Path) -> None:
    (file.parent / "bundle" / "manifest.yaml").unlink()
    ended = plumbline("doctor", "-c", file, "--family", "bundle")
    wrong, skipped, last = ended.out.splitlines()
    assert ended.code == 1
    assert wrong.startswith("wrong   bundle: digests: ") and "; this is not a model bundle" in wrong
    assert skipped == "skipped bundle: trust: the bundle cannot be opened"
    assert last.startswith("1 wrong, 0 to note, 0 good, 1 not looked at; ")


def test_settings_that_cannot_be_used_are_a_finding(plumbline: Plumbline, tmp_path: Path) -> None:
    ended = plumbline("doctor", "-c", tmp_path / "none.yaml", "--family", "settings")
    assert ended.code == 1 and "none.yaml: no such file" in ended.out


def test_without_settings_the_machine_is_looked_at(
    plumbline: Plumbline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path))
    ended = plumbline("doctor", "--family", "settings", "--family", "computer")
    assert "skipped settings: file: no settings file was named" in ended.out
    assert "computer: cpu: " in ended.out


def test_the_services_own_settings_are_found_without_being_named(
    plumbline: Plumbline, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(file.parent))
    assert f"ok      settings: file: {file}" in plumbline("doctor", "--family", "settings").out


def test_for_scripts_it_is_one_document(plumbline: Plumbline, file: Path) -> None:
    ended = plumbline("doctor", "--json", "-c", file, *UPGRADE)
    told = json.loads(ended.out)
    assert (told["settings"], told["wrong"]) == (str(file), 0)
    assert {one["state"] for one in told["findings"]} <= {"ok", "note", "skipped"}
    assert told["findings"][0]["family"] == "settings"
    assert named_in_help(plumbline, "doctor", fields={**told, **told["findings"][0]})


def test_a_family_that_there_is_not_is_a_wrong_argument(plumbline: Plumbline) -> None:
    ended = plumbline("doctor", "--family", "weather")
    assert ended.code == 2 and all(name in ended.err for name in FAMILIES)


def test_a_terminal_gets_a_table_by_family(
    plumbline: Plumbline, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    out = plumbline("doctor", "-c", file, "--family", "outbox", "--family", "bundle").out
    assert "what to do" in out and "outbox: place" in out and "\x1b[" in out
