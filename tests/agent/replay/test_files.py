"""A report is JSON Lines that any reader takes, and says of every file what became of it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from agent.bundle.bundle import Bundle, open_bundle
from agent.cli.main import app
from agent.clock import ManualClock
from agent.engines.engine import Answer
from agent.messages import Pixels
from agent.replay.files import REPORT, InspectError, inspect_files, start_report, write
from tests.agent.engines.small_bundle import write_small
from tests.fakes import FakeEngine, bad_picture, good_picture

NAMES = [
    "a.jpg",
    "a.png",
    "a-2.png",
    "a-2-2.bmp",
    "A.png",
    "a.PNG",
    "A-2.tif",
    "report.jsonl.png",
    "x" * 250 + ".png",
]


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


@given(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=8, unique=True))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_names_that_meet_make_as_many_records_and_pictures(
    bundle: Bundle, tmp_path: Path, names: list[str]
) -> None:
    folder = Path(mkdtemp(dir=tmp_path))
    for name in names:
        (folder / name).write_bytes(cv2.imencode(Path(name).suffix.lower(), good_picture(8, 8))[1].tobytes())
    records = report([folder], bundle, FakeEngine(), folder / "out")
    pictures = {str(record["picture"]).casefold() for record in records}
    assert len(records) == len(pictures) == len(names)
    assert {Path(str(record["file"])).name for record in records} == {*names}
    assert {path.name.casefold() for path in (folder / "out").iterdir()} == {REPORT, *pictures}


def test_a_report_goes_into_an_empty_folder_alone(bundle: Bundle, tmp_path: Path) -> None:
    start_report(tmp_path / "new" / "out")
    (tmp_path / "pics").mkdir()
    cv2.imwrite(str(tmp_path / "pics" / "a.png"), good_picture(8, 8))
    before = (tmp_path / "pics" / "a.png").read_bytes()
    start_report(tmp_path / "new" / "out")  # nothing was written yet
    (tmp_path / "new" / "out" / REPORT).write_text("{}\n")
    for taken in (tmp_path / "pics", tmp_path / "new" / "out"):
        with pytest.raises(InspectError, match="is not empty; give a new folder with --out"):
            start_report(taken)
    (one,) = inspect_files([tmp_path / "pics"], bundle, FakeEngine(), ManualClock())
    with pytest.raises(InspectError, match="cannot be written"):
        write(one, tmp_path / "pics")
    assert (tmp_path / "pics" / "a.png").read_bytes() == before


@pytest.mark.parametrize("raw", [b"a\xff\xfe.png", b"\x80.png", "teil-\u00fc.png".encode("latin-1")])
def test_a_name_that_is_no_utf8_is_stored_with_question_marks(
    bundle: Bundle, tmp_path: Path, raw: bytes
) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + raw))
    file.write_bytes(cv2.imencode(".png", good_picture(8, 8))[1].tobytes())
    torn = Path(os.fsdecode(os.fsencode(tmp_path) + b"/torn" + raw))
    torn.write_bytes(b"torn")
    records = report([file, torn], bundle, FakeEngine(), tmp_path / "out")
    assert "?" in str(records[0]["part_id"]) and records[1]["verdict"] == "skipped"
    assert all(str(value).encode() for record in records for value in record.values())


def test_a_picture_beyond_the_bound_is_skipped_with_the_remedy(bundle: Bundle, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "large.png"), good_picture(120, 100))
    (one,) = inspect_files([tmp_path / "large.png"], bundle, FakeEngine(), ManualClock(), 0.01)
    assert one.record["verdict"] == "skipped" and "100 x 120 pixels" in one.record["detail"]
    assert "max_megapixels" in one.record["detail"]


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
