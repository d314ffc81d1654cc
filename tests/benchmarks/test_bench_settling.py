"""The settling experiment's table says what its rows say, and its oracle knows the truth."""

from __future__ import annotations

import numpy as np
import torch

from models.parts.batch import Batch
from models.student.lessons import Lessons
from tests.benchmarks.bench_settling import difference, of_truth, table


def row(apart: float, seed: int) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    defective = [False] * 60 + [True] * 40
    scores = rng.normal(0, 1, 100) + apart * np.array(defective)
    figures = {"pixel_ap": 0.5, "aupro_03": None, "remaining_contrast": 0.25 + seed / 10}
    return {
        "image_auroc": 0.8 + seed / 100,
        "minutes": 3.0,
        "scores": list(scores),
        "defective": defective,
    } | figures


def test_an_arm_stands_beside_the_student_without_a_teacher_over_equal_seeds() -> None:
    rows = {f"set none {seed}": row(0.5, seed) for seed in range(2)}
    rows |= {f"set real {seed}": row(3.0, seed + 2) for seed in range(2)}
    rows |= {"set anew 0": row(0.5, 0), "other real 0": row(1.0, 0)}
    lines = table(rows).splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:]] == [
        ["| other", "real"],
        ["| set", "anew"],
        ["| set", "none"],
        ["| set", "real"],
    ]
    other, anew, none, real = (line.split(" | ") for line in lines[2:])
    assert real[2] == "0.825 (0.820 to 0.830)"
    assert real[5] == "0.500"
    assert real[4] == "-"
    found = difference([rows[f"set real {s}"] for s in range(2)], [rows[f"set none {s}"] for s in range(2)])
    assert found.low > 0.1
    assert f"{found.one - found.other:+.3f} [{found.low:+.3f}, {found.high:+.3f}]" in real[-1]
    assert "+0.000 [+0.000, +0.000]" in anew[-1]  # the same scores as none's first seed
    assert "[" not in none[-1] + other[-1]  # nothing to stand beside


def test_the_oracle_restores_and_finds_what_is_true() -> None:
    mask = torch.zeros(2, 1, 8, 8)
    mask[1, :, 2, 5] = 1
    clean = torch.rand(2, 1, 8, 8)
    batch = Batch(clean=clean, seen=clean + mask, mask=mask, products=torch.zeros(2, dtype=torch.long))
    wrong = torch.full((2, 1, 2, 2), 0.5)
    told = of_truth(Lessons(batch=batch, restored=batch.seen, maps=wrong, usual=torch.ones(1)))
    assert torch.equal(told.restored, clean)
    assert told.maps.sum() == 1
    assert told.maps[1, 0, 0, 1] == 1
