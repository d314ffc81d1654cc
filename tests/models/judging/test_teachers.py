"""A teacher that a plain memory of good parts outranks is not asked unless somebody wants it so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.bundle.standing import Standing
from models.cli.main import app as lab
from models.judging import teachers as file
from models.judging.evaluate import Inspector
from models.judging.teachers import WeakTeacherError, need_able
from models.training.train import RunError
from tests.agent.bundle.test_standing import standing
from tests.models.tiny import write_tiny
from tests.models.workshop import WORSE_TOO, Workshop, run, run_lab


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The memories that teachers were held against: the first teacher stands well, the next does not."""
    found: list[Any] = []

    def beside(inspector: Inspector, yardstick: object, *_: object) -> Standing:
        assert inspector(np.zeros((1, 64, 64, 1), np.uint8)).scores.shape == (1,)
        found.append(yardstick)
        return standing(-0.1, 0.1) if len(found) == 1 else standing(-0.3, -0.1)

    monkeypatch.setattr(file, "build", lambda *_, **__: type("Built", (), {"yardstick": "the memory"}))
    monkeypatch.setattr(file, "on_unseen", beside)
    return found


def test_a_teacher_that_ranks_worse_is_refused_before_anything_is_written(
    made: Workshop, tmp_path: Path, asked: list[Any]
) -> None:
    asked.append("another")
    out = tmp_path / "student"
    with pytest.raises(
        WeakTeacherError, match=r"the teacher ranks worse than a plain memory .* --accept-worse"
    ):
        run(lab, "distill", made.teacher, "--data", made.data, "--out", out, "--images", 16)
    assert not out.exists()


def test_each_teacher_is_held_against_the_same_memory(made: Workshop, asked: list[Any]) -> None:
    with pytest.raises(WeakTeacherError, match=rf"^{made.teacher}: the teacher ranks worse"):
        need_able([made.teacher, made.teacher], [made.data])
    assert asked == ["the memory", "the memory"]
    asked.clear()
    assert need_able([made.teacher], [made.data]) == [standing(-0.1, 0.1)]


def test_a_teacher_of_another_product_is_refused_before_it_is_held_against_anything(
    made: Workshop, tmp_path: Path, asked: list[Any]
) -> None:
    with pytest.raises(RunError, match="the teachers know tiny, the data are nut"):
        need_able([made.teacher], [write_tiny(tmp_path / "nut")])
    assert not asked


@pytest.mark.slow
def test_a_run_that_was_begun_goes_on_without_the_question(
    made: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["distill", made.teacher, "--data", made.data, "--out", tmp_path / "student", "--images", 16]
    run_lab(*words, WORSE_TOO)

    def never(*_: object) -> None:
        raise AssertionError("it was asked about already")

    monkeypatch.setattr(file, "need_able", never)
    assert run(lab, *words).exit_code == 0
