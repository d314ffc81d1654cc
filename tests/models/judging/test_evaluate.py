"""A model and the yardstick are judged on the same pictures, cut alike, and shown side by side."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.bundle.bundle import open_bundle
from agent.messages import Flags
from models.data.datasets import Item
from models.data.held import good_items
from models.judging import evaluate, yardstick
from models.judging.yardstick import Built
from models.training.train import read_run, train
from tests.models.tiny import DEFECTIVE_TEST, GOOD_TEST
from tests.models.workshop import run_lab

pytestmark = pytest.mark.usefixtures("yardsticks")

BUNDLE = Path(evaluate.__file__).parents[1] / "bundles" / "elpv"


@pytest.fixture(scope="module")
def teacher(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hardly trained."""
    out = tmp_path_factory.mktemp("run") / "teacher"
    train("decodiff", [data], "nano", out, images=8)
    return out


@pytest.mark.slow
def test_the_yardstick_s_row_stands_beside_the_model_s(data: Path, teacher: Path, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    output = run_lab("evaluate", teacher, "--data", data, "--json", file, "--report", tmp_path)
    found = json.loads(file.read_text())
    standing, own = found.pop("standing"), found.pop("yardstick")
    assert own.keys() - found.keys() == {"build_minutes"}
    assert found.keys() - own.keys() == {"remaining_contrast_unseen"}  # a memory restores nothing
    assert found["remaining_contrast_unseen"] == evaluate.remaining_in_unseen(teacher, data)
    assert own["build_minutes"] > 0
    for name, one in (("model", found), ("yardstick", own)):
        assert standing[f"{name}_auroc"] == pytest.approx(one["image_auroc"], abs=1e-6)
        assert one["images"] == GOOD_TEST + DEFECTIVE_TEST
        assert f"{one['image_auroc']:.4f}" in output
        assert f"{one['aupro_03']:.4f}" in output
    assert own["image_auroc"] == 1.0  # a black line in a weave is easy
    assert re.search(r"the model ranks \w.* a plain memory of good parts: image AUROC", output)
    assert standing["difference"][0] <= found["image_auroc"] - 1.0 <= standing["difference"][1]
    for folder in (tmp_path, tmp_path / "yardstick"):
        assert {"curves.png", "worst.png"} <= {path.name for path in folder.iterdir()}


def test_without_the_yardstick_the_figures_are_the_model_s_alone(
    data: Path, teacher: Path, tmp_path: Path
) -> None:
    file = tmp_path / "figures.json"
    output = run_lab("evaluate", teacher, "--data", data, "--no-yardstick", "--json", file)
    assert json.loads(file.read_text())["images"] == GOOD_TEST + DEFECTIVE_TEST
    assert "yardstick" not in output
    assert "memory" not in output


def test_a_test_split_alone_is_judged_by_the_model_and_the_rest_is_said(
    data: Path, teacher: Path, tmp_path: Path
) -> None:
    shutil.copytree(data / "test", tmp_path / "only" / "test")
    shutil.copytree(data / "ground_truth", tmp_path / "only" / "ground_truth")
    output = run_lab("evaluate", teacher, "--data", tmp_path / "only", "--json", tmp_path / "figures.json")
    assert "no memory of good parts to hold the model against:" in output
    assert "standing" not in json.loads((tmp_path / "figures.json").read_text())


@pytest.mark.slow
def test_the_yardstick_remembers_what_training_saw_and_chooses_on_what_was_held_back(
    data: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[list[Item], list[Item]]] = []
    build = yardstick.build

    def building(kept: list[Item], held: list[Item], *rest: object) -> Built:
        seen.append((kept, held))
        return build(kept, held, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(yardstick, "build", building)
    evaluate.evaluate_yardstick(teacher, data)
    assert seen == [good_items([data])]
    assert seen[0][1]


@pytest.mark.slow
def test_the_yardstick_judges_the_model_s_pictures_at_the_model_s_scale(data: Path, teacher: Path) -> None:
    _, of_model = evaluate.evaluate(teacher, data)
    _, of_yardstick, _ = evaluate.evaluate_yardstick(teacher, data)
    for one, other in zip(of_model, of_yardstick, strict=True):
        assert one.item == other.item
        assert np.array_equal(one.picture, other.picture)
        assert one.map.shape == other.map.shape
        assert one.score != other.score


def test_a_run_and_a_bundle_say_how_frames_become_tiles(teacher: Path) -> None:
    assert evaluate.input_of(teacher) == read_run(teacher).input
    assert evaluate.input_of(BUNDLE) == open_bundle(BUNDLE).manifest.input


def judged_with(mask: Flags | None, defect: str) -> evaluate.Judged:
    pixels = np.zeros((4, 4, 1), np.uint8)
    return evaluate.Judged(
        item=Item(image=Path("a.png"), split="test", defect=defect, mask=Path("a_mask.png")),
        score=1.0 if defect == "scratch" else 0.5,
        map=np.zeros((4, 4), np.float32),
        picture=pixels,
        restored=pixels,
        mask=mask,
        seconds=0.0,
    )


def test_masks_that_vanish_in_resizing_are_counted() -> None:
    none, some = np.zeros((4, 4), np.bool_), np.eye(4, dtype=np.bool_)
    lost = judged_with(none, "scratch")
    judged = [lost, judged_with(some, "scratch"), judged_with(none, "good"), judged_with(None, "scratch")]
    assert evaluate.vanished(judged) == [lost]


def test_what_is_promised_stands_beside_what_is_measured() -> None:
    judged = [judged_with(None, "scratch")] + [judged_with(None, "good")] * 20
    found = evaluate.figures(judged, 0.75, 0.05)
    assert (found.promised_false_reject_rate, found.false_reject_rate) == (0.05, 0.0)
    assert found.false_reject_interval == pytest.approx((0.0, 0.161), abs=0.001)  # Wilson, 0 of 20
    assert evaluate.figures(judged, None).false_reject_interval is None
    manifest = open_bundle(BUNDLE).manifest
    assert evaluate.promised_by(BUNDLE) == manifest.threshold.target_false_reject_rate


@pytest.mark.slow
def test_a_mask_that_vanishes_is_told_with_its_name(data: Path, teacher: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "tiny")
    file = next((tmp_path / "tiny" / "ground_truth" / "scratch").iterdir())
    mask = np.zeros_like(cv2.imread(str(file)))
    mask[4, 4] = 255  # of 80 rows 64 are left, and every fifth is not among them
    cv2.imwrite(str(file), mask)
    output = run_lab("evaluate", teacher, "--data", tmp_path / "tiny", "--no-yardstick")
    assert "1 masks have no pixel left at the model's scale" in output
    assert file.name in output.replace("\n", "")
