"""The table of students says what its rows say, beside the yardstick of the same pictures."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.bench_settling import difference
from tests.benchmarks.bench_students import table


def row(apart: float, seed: int, rejected: float | None = 0.1) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    defective = [False] * 60 + [True] * 40
    return {
        "image_auroc": 0.8 + seed / 100,
        "pixel_ap": 0.5 + seed / 10,
        "aupro_03": None,
        "remaining_contrast": 0.25,
        "false_reject_rate": rejected,
        "promised_false_reject_rate": 0.05,
        "recall_at_threshold": 0.6,
        "scores": list(rng.normal(0, 1, 100) + apart * np.array(defective)),
        "defective": defective,
    }


def test_students_of_all_seeds_stand_in_one_line_and_their_yardstick_below() -> None:
    rows = {"set 0": row(3.0, 0, 0.0), "set 1": row(3.0, 2, 0.2), "set yardstick": row(0.5, 1, None)}
    student, yardstick = table(rows).splitlines()[2:]
    found = difference([rows["set 0"], rows["set 1"]], [rows["set yardstick"]] * 2)
    beside = f"{found.one - found.other:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
    assert found.low > 0.1
    assert student.startswith(f"| set | 2 | 0.810 (0.800 to 0.820) | {beside} |")
    assert "| 0.600 | - | 0.250 | 10.0% (4.7% to 20.1%), promised 5.0% | 60.0% |" in student
    assert yardstick.startswith("| set | yardstick | 0.810 |  | 0.600 | - |")


def test_a_student_without_its_yardstick_has_no_line_yet() -> None:
    assert len(table({"set 0": row(3.0, 0), "other yardstick": row(0.5, 1)}).splitlines()) == 2
