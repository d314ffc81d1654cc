"""`plumbline validate` tells every problem with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agent.cli.calling import CONFIG, Plumbline, named_in_help
from tests.agent.remote.settled import document, signed, started


@pytest.mark.parametrize("file", ["agent.yaml", "sites/example.yaml"])
def test_validate_without_files_accepts_the_shipped_ones_and_says_what_it_did_not_see(
    plumbline: Plumbline, file: str
) -> None:
    ended = plumbline("validate", "--no-files", CONFIG / file)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"{CONFIG / file}: good, digest ")
    assert ended.out.endswith("were not looked at\n")


def test_validate_names_the_line_of_what_is_not_there(plumbline: Plumbline) -> None:
    ended = plumbline("validate", CONFIG / "agent.yaml")
    lines = (CONFIG / "agent.yaml").read_text().splitlines()
    bundle, frames = lines.index("bundle: bundle") + 1, lines.index("      path: frames") + 1
    said = ended.err.splitlines()
    assert ended.code == 2 and len(said) == 2
    assert said[0].startswith(f"{CONFIG}/agent.yaml:{bundle}: bundle: {CONFIG}/bundle: no such bundle")
    assert said[1].startswith(f"{CONFIG}/agent.yaml:{frames}: cameras.0.source.path: {CONFIG}/frames: ")


def test_validate_says_what_is_in_force_in_place_of_the_file(plumbline: Plumbline, tmp_path: Path) -> None:
    station = started(tmp_path)
    assert plumbline("validate", "--no-files", station.file).err == ""
    station.offer(signed(document({"judge": {"min_area_px": 30}})))
    station.judge("stable")
    ended = plumbline("validate", "--no-files", station.file, "--json")
    assert ended.code == 0 and json.loads(ended.out)["files_looked_at"] is False
    (line,) = ended.err.splitlines()
    assert line.startswith(
        f"plumbline: in force are not the settings in {station.file} alone, but with document 1"
    )
    assert line.endswith("; see plumbline settings show")


def test_validate_prints_every_problem_in_a_line_of_its_own(plumbline: Plumbline, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("mqtt:\n  port: 0\n  tls: on\npage: {prot: 1}\n")
    ended = plumbline("validate", path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        f"{path}:2: mqtt.port: Input should be greater than or equal to 1 (got 0)",
        f"{path}:3: mqtt.tls: Input should be a valid boolean (got 'on')",
        f"{path}:4: page.prot: unknown key; did you mean port?",
    ]


def test_validate_of_a_missing_file_says_so(plumbline: Plumbline, tmp_path: Path) -> None:
    ended = plumbline("validate", tmp_path / "none.yaml")
    assert ended.code == 2 and "none.yaml: no such file" in ended.complaint()


def test_validate_as_json_says_the_digest_or_every_problem(plumbline: Plumbline, tmp_path: Path) -> None:
    good = plumbline("validate", "--no-files", CONFIG / "agent.yaml", "--json")
    told = json.loads(good.out)
    assert (good.code, len(told["digest"]), told["files_looked_at"]) == (0, 64, False)
    assert named_in_help(plumbline, "validate", fields=told)
    (tmp_path / "bad.yaml").write_text("mqtt:\n  port: 0\npage: {prot: 1}\n")
    bad = plumbline("validate", tmp_path / "bad.yaml", "--json")
    told = json.loads(bad.out)
    assert (bad.code, bad.err, told["exit_code"], len(told["problems"])) == (2, "", 2, 2)
    assert named_in_help(plumbline, "validate", fields=told)
    assert told["problems"][0].startswith(f"{tmp_path}/bad.yaml:2: mqtt.port: ")
