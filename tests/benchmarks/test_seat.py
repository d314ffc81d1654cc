"""Engines that take turns: each judges the same pictures, and one that dies is a word, not a hang."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.benchmarks import bench_anomalib
from tests.benchmarks.bench_anomalib import CannotRun
from tests.benchmarks.bench_anomalib_engine import MODELS, UNTRAINED, Seat, exported, of_one_tile, row
from tests.benchmarks.turns import Turns
from tests.tensorrt.environments import ROOT

HERE = {**os.environ, "PYTHONPATH": str(ROOT)}
BY_RED = """
import sys
from pathlib import Path
from tests.benchmarks.seat import serve
def open_judge():
    print("words of a library")
    return lambda picture: float(picture[..., 0].mean())
serve(open_judge, Path(sys.argv[1]))
"""


def seat(folder: Path, code: str) -> Seat:
    return Seat([sys.executable, "-c", code, str(folder)], folder, HERE)


def write(file: Path, rgb: tuple[int, int, int], side_px: int = 8) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full((side_px, side_px, 3), rgb[::-1], np.uint8))


def test_a_seat_judges_every_picture_by_its_name_whatever_libraries_print(tmp_path: Path) -> None:
    write(tmp_path / "good" / "0.png", (10, 99, 98))
    write(tmp_path / "bad" / "1.png", (200, 97, 96))
    one = seat(tmp_path, BY_RED)
    assert one.ask("turn 5").keys() == {"resident_mb", "grown_mb"}
    told = one.ask("judge")
    assert told["scores"] == {"good/0.png": 10.0, "bad/1.png": 200.0}
    assert 0 < told["resident_mb"] < 2000 and told["grown_mb"] < told["resident_mb"]
    one.close()


def test_a_seat_that_dies_says_so(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="ended with 3"):
        seat(tmp_path, "import sys; sys.stdin.readline(); sys.exit(3)").ask("turn 1")


def test_a_row_has_the_figures_of_its_model() -> None:
    turns = Turns(seconds={"Plumbline": [0.4, 0.4, 0.8], "peer": [0.8, 1.6, 0.8]})
    answer = {
        "scores": {"good/0.png": 1.0, "good/1.png": 3.0, "bad/2.png": 2.0, "bad/3.png": 4.0},
        "resident_mb": 300.4,
        "grown_mb": 99.6,
    }
    assert row("peer", "100, 1.0 min of processor", turns, answer) == (
        "| peer | 100, 1.0 min of processor | 0.750 | 10.0 | 2.0 | 300 | 100 |"
    )
    assert row("peer", UNTRAINED, turns, answer).startswith(f"| peer | {UNTRAINED} | - |")
    assert "| 20.0 | 1 |" in row("Plumbline", "all of them", turns, answer)


def test_pictures_of_several_tiles_are_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "test" / "good" / "0.png", (0, 0, 0), side_px=256)
    of_one_tile(tmp_path)
    write(tmp_path / "test" / "bad" / "1.png", (0, 0, 0), side_px=300)
    with pytest.raises(SystemExit, match=r"1\.png is 300 x 300 px"):
        of_one_tile(tmp_path)


@pytest.mark.parametrize("model", MODELS)
def test_without_anomalib_nothing_is_exported_not_even_untrained(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_anomalib, "ENVIRONMENT", tmp_path / "none")
    with pytest.raises(CannotRun, match=r"no environment at .*none; `make bench-anomalib` makes it"):
        exported(model, tmp_path, 1, tmp_path / "out", None, 1)


def test_an_export_that_is_there_is_taken_again(tmp_path: Path) -> None:
    (tmp_path / "trained-on").write_text("100 of them", encoding="utf-8")
    assert exported(MODELS[0], tmp_path, 1, tmp_path, None, 1) == "100 of them"
