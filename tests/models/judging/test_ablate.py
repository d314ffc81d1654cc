"""Each kind of evidence is judged by itself, from the same look, and all together as the student ships."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from models.judging.ablate import KINDS, ablate
from models.judging.evaluate import evaluate
from models.judging.report import write_evidence
from models.student.student import EVIDENCE
from models.training.train import RunError
from tests.models.student.test_student import new
from tests.models.workshop import Workshop


def test_weights_are_the_student_s_own_for_the_kinds_asked_for() -> None:
    student = new()
    weights = student.weights_of(("pixels", "latents"))
    assert float(weights.sum()) == pytest.approx(1)
    at = {name: float(weight) for name, weight in zip(EVIDENCE, weights, strict=True)}
    assert [name for name, weight in at.items() if weight] == ["pixels", "latents"]
    own = dict(zip(EVIDENCE, student.fusion.tolist(), strict=True))
    assert at["pixels"] / at["latents"] == pytest.approx(own["pixels"] / own["latents"])
    assert torch.allclose(student.weights_of(EVIDENCE), student.fusion)


def test_every_kind_has_its_figures_and_all_of_them_the_student_s(made: Workshop, tmp_path: Path) -> None:
    found = ablate(made.student, made.data)
    assert list(found) == list(KINDS)
    whole = evaluate(made.student, made.data)[0]
    assert found["all, as it ships"].image_auroc == pytest.approx(whole.image_auroc)
    assert found["all, as it ships"].pixel_ap == pytest.approx(whole.pixel_ap, rel=1e-3)
    assert len({one.pixel_ap for one in found.values()}) == len(KINDS)  # each sees something of its own
    write_evidence(found, tmp_path)
    with (tmp_path / "evidence.csv").open(newline="") as file:
        assert [row["evidence"] for row in csv.DictReader(file)] == list(KINDS)


def test_a_teacher_has_no_evidence_to_take_apart(made: Workshop) -> None:
    with pytest.raises(RunError, match="no finished student"):
        ablate(made.teacher, made.data)
