"""The workshop's commands resume, refuse and report as they say."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from agent.errors import PlumblineError
from models.cli.main import app as lab
from models.cli.main import main
from models.data.preflight import PreflightError
from models.student.distill import load_student
from models.student.student import EVIDENCE
from models.training.checkpoint import CheckpointError
from models.training.train import WEIGHTS, RunError
from tests.models.small_memory import small_memory
from tests.models.tiny import DEFECTIVE_TEST, GOOD_TEST
from tests.models.workshop import (
    WORSE_TOO,
    Workshop,
    distill_command,
    export_command,
    run,
    run_lab,
    train_command,
)

# The exporter's own dependencies warn of their future, which is theirs.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.usefixtures("yardsticks"),
]


FIGURES = ("image_auroc", "image_ap", "image_f1max", "pixel_auroc", "pixel_ap", "pixel_f1max", "aupro_03")


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What `evaluate` said of a model, and the folder of its report."""

    output: str
    figures: dict[str, Any]
    report: Path


@pytest.fixture(scope="module")
def evaluated(made: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Evaluated]:
    """Each model's evaluation, done when it is first asked for."""

    @functools.cache
    def of(what: str) -> Evaluated:
        folder = tmp_path_factory.mktemp(what)
        file, report = folder / "figures.json", folder / "report"
        model = getattr(made, what)
        output = run_lab("evaluate", model, "--data", made.data, "--json", file, "--report", report)
        return Evaluated(output=output, figures=json.loads(file.read_text()), report=report)

    return of


@pytest.mark.slow
@pytest.mark.parametrize("what", ["teacher", "student", "bundle"])
def test_what_was_made_is_evaluated_and_reported(evaluated: Callable[[str], Evaluated], what: str) -> None:
    found = evaluated(what)
    figures, output = found.figures, found.output
    assert figures["images"] == GOOD_TEST + DEFECTIVE_TEST
    assert figures["seconds_per_image"] > 0
    for name in FIGURES:
        assert 0 <= figures[name] <= 1
        assert name in output
    assert (figures["threshold"] is None) == (what != "bundle")
    assert (figures["recall_at_threshold"] is None) == (what != "bundle")
    curves, worst = (cv2.imread(str(found.report / name)) for name in ("curves.png", "worst.png"))
    assert min(curves.shape[:2]) > 300
    assert min(worst.shape[:2]) > 1000  # input, restoration, evidence and mask of 8 pictures
    assert curves.std() > 5
    assert worst.std() > 5


@pytest.mark.slow
def test_the_student_and_its_bundle_judge_alike(evaluated: Callable[[str], Evaluated]) -> None:
    student, bundle = evaluated("student").figures, evaluated("bundle").figures
    for name in FIGURES:
        assert student[name] == pytest.approx(bundle[name], abs=0.06)  # the bundle may run in bf16


@pytest.mark.slow
def test_a_finished_command_given_again_changes_nothing(made: Workshop) -> None:
    for folder, command in ((made.teacher, train_command(made)), (made.student, distill_command(made))):
        before = torch.load(folder / WEIGHTS, weights_only=True)
        run_lab(*command)
        after = torch.load(folder / WEIGHTS, weights_only=True)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.slow
def test_a_student_needs_no_teacher_and_may_ask_one_anew(made: Workshop, tmp_path: Path) -> None:
    alone, asking = tmp_path / "alone", tmp_path / "asking"
    run_lab("distill", "--data", made.data, "--preset", "nano", "--images", 16, "--out", alone)
    run_lab(
        "distill", made.teacher, "--data", made.data, "--anew", "--images", 16, "--out", asking, WORSE_TOO
    )
    taught = EVIDENCE.index("taught")
    assert load_student(alone)[1].fusion[taught] == 0
    assert load_student(asking)[1].fusion[taught] > 0
    assert not (alone / "lessons.pt").exists()
    run_lab("evaluate", alone, "--data", made.data, "--report", tmp_path / "report")
    assert "teachers" not in (tmp_path / "report" / "evidence.csv").read_text()
    with pytest.raises(RunError, match="holds a run with another"):
        run(lab, "distill", made.teacher, "--data", made.data, "--images", 16, "--out", asking, WORSE_TOO)
    for words, refusal in (
        (["--anew"], "there is no teacher to ask"),
        ([made.teacher, "--preset", "nano"], "the preset is the teachers' own"),
    ):
        refused = run(lab, "distill", *words, "--data", made.data, "--out", tmp_path / "other")
        assert refused.exit_code == 2
        assert refusal in refused.output
    assert not (tmp_path / "other").exists()


def test_a_folder_with_a_run_of_other_options_is_refused(made: Workshop) -> None:
    with pytest.raises(RunError, match="holds a run with another seed; choose another --out"):
        run(lab, *train_command(made, seed=1))
    with pytest.raises(RunError, match="another seed; choose another --out"):
        run(lab, *distill_command(made, seed=1))


@pytest.mark.parametrize(
    ("method", "preset", "differs"), [("glad", "nano", "method"), ("decodiff", "edge", "preset, input")]
)
def test_a_run_folder_of_another_method_or_preset_is_refused(
    made: Workshop, method: str, preset: str, differs: str
) -> None:
    before = {file: file.read_bytes() for file in made.teacher.iterdir()}
    command = ["train", method, "--data", made.data, "--preset", preset, "--out", made.teacher]
    with pytest.raises(RunError, match=f"holds a run with another {differs}; choose another --out"):
        run(lab, *command)
    assert before == {file: file.read_bytes() for file in made.teacher.iterdir()}


def test_weights_of_another_shape_are_refused_by_name(made: Workshop, tmp_path: Path) -> None:
    shutil.copytree(made.teacher, tmp_path / "teacher")
    weights = torch.load(made.teacher / WEIGHTS, weights_only=True)
    weights["net.stem.weight"] = torch.zeros(3, 3, 3, 3)
    torch.save(weights, tmp_path / "teacher" / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"weights\.pt: of another shape .*net\.stem\.weight"):
        run(lab, "evaluate", tmp_path / "teacher", "--data", made.data)


def test_a_teacher_s_and_a_student_s_folder_are_not_mixed_up(made: Workshop) -> None:
    before = {file: file.read_bytes() for folder in (made.teacher, made.student) for file in folder.iterdir()}
    with pytest.raises(PreflightError, match="holds a teacher; choose another --out"):
        run(lab, *distill_command(dataclasses.replace(made, student=made.teacher)))
    with pytest.raises(PreflightError, match="holds a student; choose another --out"):
        run(lab, *train_command(dataclasses.replace(made, teacher=made.student)))
    assert before == {
        file: file.read_bytes() for folder in (made.teacher, made.student) for file in folder.iterdir()
    }


def test_an_unfinished_teacher_or_student_says_how_to_finish(made: Workshop, tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="no finished teacher; run `plumbline-lab train"):
        run(lab, *distill_command(dataclasses.replace(made, teacher=tmp_path)))
    with pytest.raises(PreflightError, match="no finished student; run `plumbline-lab distill"):
        run(lab, *export_command(dataclasses.replace(made, student=made.teacher), tmp_path / "bundle"))


def test_a_test_split_of_one_kind_is_refused(made: Workshop, tmp_path: Path) -> None:
    shutil.copytree(made.data, tmp_path / "poor")
    for folder in ("test", "ground_truth"):
        shutil.rmtree(tmp_path / "poor" / folder / "scratch")
    with pytest.raises(PlumblineError, match="needs good and defective pictures"):
        run(lab, "evaluate", made.student, "--data", tmp_path / "poor")


def test_pictures_without_masks_give_figures_of_images_only(
    made: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_memory(monkeypatch)
    shutil.copytree(made.data, tmp_path / "unmarked")
    shutil.rmtree(tmp_path / "unmarked" / "ground_truth")
    run_lab(
        "evaluate",
        made.student,
        "--data",
        tmp_path / "unmarked",
        "--json",
        tmp_path / "figures.json",
        "--report",
        tmp_path / "report",
    )
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["image_auroc"] is not None
    assert all(figures[name] is None for name in FIGURES if name.startswith(("pixel", "aupro")))


def test_a_known_problem_is_one_line_and_exit_code_2(
    made: Workshop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["plumbline-lab", "evaluate", str(made.student), "--data", str(made.root / "absent")]
    )
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("plumbline-lab: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "nothing", "--data", "x", "--out", "y"],
        ["sample", "nothing", "--out", "x"],
        ["train", "decodiff"],
    ],
)
def test_a_command_that_is_not_one_is_refused_with_its_usage(arguments: list[str]) -> None:
    result = run(lab, *arguments)
    assert result.exit_code == 2
    assert "Usage" in result.output
