"""A plain folder becomes a bundle, a report and settings that an agent takes; cut anywhere it goes on."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from agent.settings import settings
from models.stages import Stages
from models.student import finish
from models.teaching import teach as teaching
from models.teaching.look import look
from models.teaching.plan import Plan
from models.teaching.progress import Whole
from models.teaching.state import State, TeachError, read_state
from models.teaching.teach import begin, teach
from tests.models.small_memory import small_memory
from tests.models.teaching.pictures import folder

PLAN = Plan(preset="nano", teacher_images=64, student_images=960, seconds=60)


def quiet() -> Whole:
    return Whole(lambda share, words: None)


def started(root: Path, out: Path, *, target: float = 0.05) -> State:
    return begin(out, look(root, target), PLAN, target=target, name="weave", minutes=1)


class Cut(Exception):
    """In place of a kill."""


class Cutting(Whole):
    """Cut at the first step of a stage."""

    def __init__(self, at: str) -> None:
        def show(share: float, words: str) -> None:
            if words.startswith(at):
                raise Cut

        super().__init__(show)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_sixty_good_and_eight_bad_jpegs_end_with_settings_that_run_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_memory(monkeypatch)
    monkeypatch.setattr(finish, "BATCH_NORM_BATCHES", 8)
    root, out = folder(tmp_path / "parts"), tmp_path / "taught"
    found, command = look(root), "plumbline-lab teach parts"
    for at in ("training decodiff", "training the student", "judging synthetic defects"):
        with pytest.raises(Cut):
            teach(root, out, found, started(root, out), Cutting(at), command)
    taught = teach(root, out, found, started(root, out), quiet(), command)
    assert taught.bundle.manifest.name == "weave" and taught.bundle.manifest.threshold.good_frames == 23
    assert any("of 8 defective parts are rejected" in line for line in taught.report.lines)
    numbers = json.loads((out / "report" / "report.json").read_text())
    assert numbers["promised"]["threshold"] == pytest.approx(numbers["threshold"], rel=0.02)  # bf16
    assert len(numbers["bad"]) == 8 and numbers["figures"]["image_auroc"] > 0.5
    wanted = settings.load(taught.settings)
    assert wanted.bundle == out / "bundle" and wanted.cameras[0].name == "camera"
    again = time.monotonic()
    assert teach(root, out, found, started(root, out), quiet(), command).bundle.sha256 == taught.bundle.sha256
    assert time.monotonic() - again < 60, "nothing is trained twice"


def test_a_run_of_other_pictures_or_another_rate_is_not_gone_on_with(tmp_path: Path) -> None:
    root, out = folder(tmp_path / "parts", good=20, bad=0), tmp_path / "taught"
    state = started(root, out)
    assert read_state(out) == state and started(root, out) == state
    with pytest.raises(TeachError, match="another target"):
        started(root, out, target=0.01)
    (root / "good" / "000.jpg").unlink()
    with pytest.raises(TeachError, match="another pictures"):
        started(root, out)
    (out / "teach.json").write_text("[")
    with pytest.raises(TeachError, match="cannot be read"):
        read_state(out)


def test_a_blind_student_is_taught_longer_and_then_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = folder(tmp_path / "parts", good=20, bad=0), tmp_path / "taught"
    state, taught = started(root, out), []
    (out / "teacher").mkdir()
    (out / "teacher" / "weights.pt").touch()
    (out / "teacher" / "cost.json").write_text(json.dumps({"seconds": 1.0, "images": 64}))

    def distill(teachers: object, data: object, student: Path, *, images: int, stages: Stages) -> None:
        taught.append((student.name, images))

    def export(*_: object, **__: object) -> None:
        raise teaching.BlindError("an AUROC of 0.500")

    monkeypatch.setattr(teaching, "distill", distill)
    monkeypatch.setattr(teaching, "export", export)
    with pytest.raises(TeachError, match=r"after 3 students, .* none sees made-up defects"):
        teach(root, out, look(root), state, quiet(), "x")
    first = taught[0][1]
    assert taught == [("student-1", first), ("student-2", 2 * first), ("student-3", 4 * first)]
    assert not (out / "bundle").exists() and not (out / "agent.yaml").exists()


def test_settings_that_were_edited_stay(tmp_path: Path) -> None:
    root, out = folder(tmp_path / "parts", good=20, bad=0), tmp_path / "taught"
    started(root, out)
    path = teaching.write_settings(out, look(root), "weave")
    content = yaml.safe_load(path.read_text())
    assert content["cameras"][0]["source"]["path"] == str(root / "good")
    path.write_text("mine")
    assert teaching.write_settings(out, look(root), "weave").read_text() == "mine"


def test_it_gives_way_to_the_line() -> None:
    asked: list[int] = []

    def lower(by: int) -> int:
        asked.append(by)
        return by

    teaching.be_low(lower)
    assert len(asked) == 1 and asked[0] >= 0
