"""`plumbline inspect` judges picture files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.explain.words import NAMES
from tests.agent.cli.calling import Plumbline, named_in_help
from tests.fakes import good_picture

SAMPLE = Path(__file__).parents[3] / "models" / "bundles" / "elpv"


def test_inspect_judges_files_and_writes_a_report(plumbline: Plumbline, bundle: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "good.png"), good_picture(40, 40))
    cv2.imwrite(str(tmp_path / "bad.png"), np.full((40, 40), 240, np.uint8))
    out = tmp_path / "report"
    ended = plumbline(
        "inspect", tmp_path / "good.png", tmp_path / "bad.png", "--bundle", bundle, "--out", out
    )
    assert ended.code == 0, ended.err
    records = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    assert [(record["part_id"], record["verdict"]) for record in records] == [
        ("good", "pass"),
        ("bad", "fail"),
    ]
    assert {path.name for path in out.iterdir()} == {"report.jsonl", "good.png", "bad.png"}


def test_inspect_ends_with_1_when_a_file_is_no_picture(
    plumbline: Plumbline, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "torn.png").write_bytes(b"not a picture")
    ended = plumbline("inspect", tmp_path / "torn.png", "--bundle", bundle)
    assert ended.code == 1 and "torn.png" in ended.out and "skipped" in ended.out


def test_inspect_of_an_empty_folder_says_so(plumbline: Plumbline, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = plumbline("inspect", tmp_path / "empty", "--bundle", bundle)
    assert ended.code == 2 and "empty: holds no image" in ended.complaint()


def test_inspect_as_json_prints_a_line_for_each_picture(
    plumbline: Plumbline, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"not a picture")
    cv2.imwrite(str(tmp_path / "b.png"), good_picture(40, 40))
    ended = plumbline("inspect", tmp_path / "a.png", tmp_path / "b.png", "--bundle", bundle, "--json")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.code == 1
    assert [(one["part_id"], one["verdict"]) for one in lines] == [("a", "skipped"), ("b", "pass")]
    assert named_in_help(plumbline, "inspect", fields=lines[0].keys() | lines[1].keys())


def test_a_problem_of_inspect_as_json_is_a_line_as_well(
    plumbline: Plumbline, bundle: Path, tmp_path: Path
) -> None:
    ended = plumbline("inspect", tmp_path / "none.png", "--bundle", bundle, "--json")
    (line,) = ended.out.splitlines()
    assert (ended.code, ended.err) == (2, "") and "none.png" in json.loads(line)["error"]


@pytest.mark.slow
def test_inspect_tells_by_which_evidence_a_picture_differs(plumbline: Plumbline, tmp_path: Path) -> None:
    cell = np.full((300, 300), 120, np.uint8)
    cv2.line(cell, (60, 200), (140, 205), 255, 5)
    cv2.imwrite(str(tmp_path / "cell.png"), cell)
    words = ("inspect", tmp_path / "cell.png", "--bundle", SAMPLE, "--explain")
    told = plumbline(*words)
    assert told.code == 0 and "Differs from good parts mostly in" in told.out
    (line,) = plumbline(*words, "--json").out.splitlines()
    record = json.loads(line)
    assert len(record["evidence"]) == len(record["defects"]) > 0
    assert [kind["kind"] for kind in record["evidence"][0]["kinds"]] == [
        name for name in NAMES if name != "taught"
    ]
    assert named_in_help(plumbline, "inspect", fields=["evidence"])


def test_a_bundle_that_cannot_explain_is_said_before_anything_is_written(
    plumbline: Plumbline, bundle: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "good.png"), good_picture(40, 40))
    out = tmp_path / "report"
    ended = plumbline("inspect", tmp_path / "good.png", "--bundle", bundle, "--out", out, "--explain")
    assert ended.code == 2 and "cannot explain its scores" in ended.complaint()
    assert not out.exists()
