"""A kept result is explained by the bundle that judged it, and where it cannot be, words say why."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.explain.document import Explanation
from agent.explain.form import CannotExplain
from agent.messages import Samples
from agent.replay.again import order_of
from agent.replay.apart import explain_apart
from agent.replay.told import ReplayError
from agent.replay.why import explain
from agent.settings import archive
from tests.agent.remote.proof.shadowed import write_grey
from tests.agent.replay.kept import CLOCK, Keeping, grey_steps

SAMPLE = Path(__file__).parents[3] / "models" / "bundles" / "elpv"


def cell(*, scratched: bool) -> Samples:
    """Even grey, with a bright line across it or without."""
    image = np.full((300, 300), 120, np.uint8)
    if scratched:
        cv2.line(image, (60, 200), (140, 205), 255, 5)
    return image[..., None]


@pytest.fixture
def station(tmp_path: Path) -> Keeping:
    shutil.copytree(SAMPLE, tmp_path / "serves")
    return Keeping(folder=tmp_path)


def why(station: Keeping, result_id: str, bundle: Path | None = None) -> Explanation:
    return explain(station.settings, result_id, bundle, CLOCK)


@pytest.mark.slow
def test_each_defect_is_told_by_its_evidence_and_by_a_line_across_it(station: Keeping) -> None:
    verdict, _ = station.judge(cell(scratched=True))
    assert verdict.verdict == "fail"
    found = why(station, verdict.result_id)
    assert [one.index for one in found.places] == list(range(len(verdict.defects)))
    assert found.good_frames == 120
    worst = max(found.places, key=lambda one: max(kind.peak for kind in one.kinds))
    assert 40 <= worst.peak_px[0] <= 160 and 185 <= worst.peak_px[1] <= 220
    assert worst.sentence.startswith("Differs from good parts mostly in ")
    assert sum(one.part for one in worst.kinds) == pytest.approx(1, abs=0.01)
    assert len(worst.across.map) == len(worst.across.kinds["pixels"]) == 64
    at = round((worst.peak_px[0] - worst.across.start_px) / worst.across.step_px)
    assert worst.across.kinds["pixels"][at] == next(one.peak for one in worst.kinds if one.kind == "pixels")
    assert max(worst.across.map) >= 100


@pytest.mark.slow
def test_a_process_beside_the_line_says_the_same_and_a_good_part_its_strongest_place(
    station: Keeping,
) -> None:
    verdict, _ = station.judge(cell(scratched=False))
    order = order_of(station.settings, result_id=verdict.result_id, task="explain")
    apart = explain_apart(order)
    assert apart == why(station, verdict.result_id)
    if verdict.verdict == "pass":
        assert [one.index for one in apart.places] == [None]


def test_a_bundle_of_before_says_that_it_cannot_explain(station: Keeping) -> None:
    shutil.rmtree(station.folder / "serves")
    write_grey(station.folder / "serves")
    verdict, _ = station.judge(grey_steps(20, 240, 230))
    with pytest.raises(CannotExplain, match="cannot explain its scores: it was made without explain/graph"):
        why(station, verdict.result_id)


def test_what_is_not_kept_is_told(station: Keeping) -> None:
    (station.folder / "archive").mkdir()
    with pytest.raises(ReplayError, match="keeps no picture of it"):
        why(station, "019ac000-0000-7000-8000-000000000001")
    station.changes = {"archive": archive.Archive()}
    with pytest.raises(ReplayError, match=r"archive\.folder is not set"):
        why(station, "019ac000-0000-7000-8000-000000000001")


def test_another_bundle_than_the_one_that_judged_is_refused(station: Keeping) -> None:
    shutil.rmtree(station.folder / "serves")
    write_grey(station.folder / "serves")
    verdict, _ = station.judge(grey_steps(20, 240, 230))
    with pytest.raises(ReplayError, match="judged then; give that one"):
        why(station, verdict.result_id, SAMPLE)
