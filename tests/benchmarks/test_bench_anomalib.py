"""Where anomalib cannot run the bench says in words what is missing, and the yardstick's row stands."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.data.held import good_items
from tests.benchmarks import bench_anomalib
from tests.benchmarks.bench_anomalib import CHILD, NEEDED, CannotRun, Prepared, measured, prepare
from tests.models.small_memory import small_memory
from tests.models.tiny import DEFECTIVE_TEST, GOOD_TEST, write_tiny

LITE0 = "PatchCore, EfficientNet-Lite0"
ANSWER = """import json, sys
from pathlib import Path
import numpy as np
folder = Path(sys.argv[4])
files = sorted(folder.glob("test/*/*.png"))
scores = [float(file.parent.name == "bad") for file in files]
np.savez(sys.argv[5], names=[str(one.relative_to(folder)) for one in files], scores=scores,
         maps=np.zeros((len(files), 8, 8), np.float32))
print("words of a library")
print(json.dumps({"minutes": 0.5}))
"""


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    root = write_tiny(tmp_path / "tiny")
    return prepare(root, good_items([root])[0], tmp_path / "set")


def environment(folder: Path, code: str) -> Path:
    """One whose interpreter runs this code whatever module it is asked for."""
    (folder / "bin").mkdir(parents=True)
    (folder / "code.py").write_text(code)
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {folder / "code.py"} "$@"\n')
    python.chmod(0o755)
    (folder / ".ready").touch()
    return folder


def test_without_the_environment_it_says_how_to_make_it(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_anomalib, "ENVIRONMENT", tmp_path / "none")
    with pytest.raises(CannotRun, match=r"no environment at .*none; `make bench-anomalib` makes it"):
        measured(LITE0, prepared, tmp_path, None, 1)


@pytest.mark.parametrize("name", [name for name, needed in NEEDED.items() if needed])
def test_without_weights_it_says_which_are_missing_and_where(
    name: str, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_anomalib, "ENVIRONMENT", environment(tmp_path / "env", "raise SystemExit(3)"))
    with pytest.raises(CannotRun, match=f"no {NEEDED[name][0]} in --weights; fetch it"):
        measured(name, prepared, tmp_path, None, 1)
    (tmp_path / "weights").mkdir()
    with pytest.raises(CannotRun, match=f"no {NEEDED[name][0]} in {tmp_path / 'weights'}; fetch it"):
        measured(name, prepared, tmp_path, tmp_path / "weights", 1)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "raise RuntimeError('operator torchvision::nms does not exist')",
            "operator torchvision::nms does not",
        ),
        ("raise SystemExit(3)", "it ended with 3 and no word"),
    ],
)
def test_where_anomalib_cannot_run_its_own_words_are_told(
    code: str, words: str, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_anomalib, "ENVIRONMENT", environment(tmp_path / "env", code))
    with pytest.raises(CannotRun, match=words):
        measured(LITE0, prepared, tmp_path, None, 1)


def test_what_anomalib_finds_is_judged_by_our_figures(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_anomalib, "ENVIRONMENT", environment(tmp_path / "env", ANSWER))
    found, minutes = measured(LITE0, prepared, tmp_path, None, 1)
    assert found.images == GOOD_TEST + DEFECTIVE_TEST
    assert found.image_auroc == 1
    assert found.pixel_auroc == 0.5  # maps without any contrast
    assert minutes == 0.5


def test_a_picture_that_anomalib_left_out_is_no_figure(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = ANSWER.replace('.glob("test/*/*.png"))', '.glob("test/*/*.png"))[1:]')
    monkeypatch.setattr(bench_anomalib, "ENVIRONMENT", environment(tmp_path / "env", code))
    with pytest.raises(CannotRun, match="judged 11 of 12 pictures"):
        measured(LITE0, prepared, tmp_path, None, 1)


def test_anomalib_sees_the_split_of_the_workshop_at_the_model_s_scale(prepared: Prepared) -> None:
    root = prepared.folder.parent / "tiny"
    kept, _ = good_items([root])
    assert len(list(prepared.folder.glob("train/good/*.png"))) == len(kept)
    assert len(list(prepared.folder.glob("test/bad/*.png"))) == DEFECTIVE_TEST
    assert set(prepared.items) == {
        str(p.relative_to(prepared.folder)) for p in prepared.folder.glob("test/*/*")
    }
    picture = cv2.imread(str(next(prepared.folder.glob("train/good/*.png"))), cv2.IMREAD_UNCHANGED)
    assert min(np.asarray(picture).shape[:2]) == 256


@pytest.mark.slow
def test_the_table_has_the_yardstick_and_words_for_all_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small_memory(monkeypatch)
    monkeypatch.setattr(bench_anomalib, "ENVIRONMENT", tmp_path / "none")
    monkeypatch.setattr(sys, "argv", ["bench", "--data", str(write_tiny(tmp_path / "tiny"))])
    bench_anomalib.main()
    output = capsys.readouterr().out
    assert "| tiny | yardstick | 1.000 |" in output
    assert output.count("left out: ") == len(NEEDED)
    assert CHILD not in output
