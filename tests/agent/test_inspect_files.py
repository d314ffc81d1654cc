"""A report is JSON Lines that any reader takes, and says of every file what became of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from agent.__main__ import app
from agent.bundle import Bundle, open_bundle
from agent.clock import ManualClock
from agent.engines.engine import Answer
from agent.inspect_files import REPORT, inspect_files, write
from agent.messages import Pixels
from tests.agent.engines.small_bundle import write_small
from tests.fakes import FakeEngine, bad_picture, good_picture


class Lost(FakeEngine):
    """Its arithmetic has come to nothing."""

    def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
        answer = FakeEngine.run(self, tiles, restored=restored)
        return replace(answer, scores=answer.scores * np.float32("nan"))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return open_bundle(write_small(tmp_path / "small"))


def strict(line: str) -> dict[str, object]:
    """As readers outside Python do: NaN is no JSON."""

    def refuse(word: str) -> float:
        raise ValueError(f"{word} is not JSON")

    record: dict[str, object] = json.loads(line, parse_constant=refuse)
    return record


def report(paths: list[Path], bundle: Bundle, engine: FakeEngine, out: Path) -> list[dict[str, object]]:
    out.mkdir()
    for one in inspect_files(paths, bundle, engine, ManualClock()):
        write(one, out)
    return [strict(line) for line in (out / REPORT).read_text().splitlines()]


def test_every_file_has_its_line_and_every_judged_one_its_picture(bundle: Bundle, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "good.png"), good_picture(40, 50))
    cv2.imwrite(str(tmp_path / "bad.png"), bad_picture(40, 50))
    (tmp_path / "torn.png").write_bytes(b"no picture")
    files = [tmp_path / name for name in ("good.png", "bad.png", "torn.png")]
    records = report(files, bundle, FakeEngine(), tmp_path / "out")
    assert [record["verdict"] for record in records] == ["pass", "fail", "skipped"]
    assert "torn.png" in str(records[2]["detail"])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {REPORT, "good.png", "bad.png"}
    picture = cv2.imread(str(tmp_path / "out" / "bad.png"))
    assert picture is not None and picture.shape == (40, 150, 3)


def test_a_score_that_is_no_number_is_left_out_of_the_report(bundle: Bundle, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), good_picture())
    (record,) = report([tmp_path / "one.png"], bundle, Lost(), tmp_path / "out")
    assert (record["verdict"], record["reason"]) == ("undecided", "not_finite")
    assert "score" not in record


def test_inspect_says_once_that_the_pictures_are_of_something_else(tmp_path: Path) -> None:
    """The small bundle finds strange what is bright."""
    write_small(tmp_path / "small")
    for folder, level in (("dark", 40), ("bright", 200)):
        (tmp_path / folder).mkdir()
        for number in range(10):
            cv2.imwrite(str(tmp_path / folder / f"{number}.png"), np.full((32, 32), level, np.uint8))
        done = CliRunner().invoke(
            app, ["inspect", str(tmp_path / folder), "--bundle", str(tmp_path / "small")]
        )
        words = "this is not what the bundle small was taught"
        assert done.stderr.count(words) == (folder == "bright")
        assert len(done.stdout.splitlines()) == 10
