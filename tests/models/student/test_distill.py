"""What the student is taught, by whom, and what it is given before anything is judged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.data.batches import draw_batch, to_images
from models.methods.method import Restoration
from models.parts.variation import at_another_exposure
from models.student.distill import Pupil, RunError, common, distill, load_student
from models.student.finish import (
    BATCH_NORM_SPOILT,
    REMEMBERED_FLOOR,
    SPREAD_FLOOR,
    finish,
    reestimate_batch_norm,
    remember,
)
from models.student.lessons import Anew, Lessons, ask, keep, kept
from models.student.student import EVIDENCE, PRESETS, Student, untaught
from models.training import checkpoint
from models.training.fit import Draw
from models.training.train import STUDENT, WEIGHTS, Run
from tests.models.student.knowing import Knows
from tests.models.student.test_student import new, textures
from tests.models.tiny import as_tiles, write_tiny

CPU = torch.device("cpu")


class Copies:
    """A teacher that restores everything as it is, and finds a constant."""

    spoilt_share = 0.0

    def __init__(self, shade: float = 0.0, found: float = 1.0) -> None:
        self.shade, self.found = shade, found

    def inspect(self, images: Tensor, rng: torch.Generator, products: Tensor | None = None) -> Restoration:
        maps = torch.full_like(images[:, :1], self.found)
        return Restoration(image=images + self.shade, map=maps, score=maps.flatten(1).mean(1))


def lessons(count: int = 4) -> Lessons:
    return ask([Copies()], as_tiles(textures(5)), count, 4, 0, CPU)  # type: ignore[list-item]


def test_lessons_hold_what_teachers_made_of_good_and_spoilt_pictures() -> None:
    made = lessons(16)
    assert torch.allclose(made.restored, made.batch.seen, atol=1e-2)
    assert made.maps.shape == (16, 1, 16, 16)
    assert 0 < made.batch.spoilt.sum() < 16
    assert torch.allclose(made.maps, torch.tensor(0.5))  # as strong as on good parts


def test_several_teachers_teach_their_mean() -> None:
    teachers = [Copies(shade=0.2), Copies(shade=-0.4)]
    made = ask(teachers, as_tiles(textures(5)), 8, 4, 0, CPU)  # type: ignore[arg-type]
    assert torch.allclose(made.restored, made.batch.seen - 0.1, atol=1e-2)


def test_a_lesson_is_mirrored_as_a_whole() -> None:
    made = lessons(6)
    for seed in range(8):
        some = made.drawn(3, ("horizontal", "vertical"), Draw.at(seed, 0))
        assert torch.equal(some.restored, some.batch.seen)
        assert ((some.batch.seen - some.batch.clean).abs().amax(1, keepdim=True) > 0.2)[
            some.batch.mask == 0
        ].sum() == 0


def test_a_lesson_is_mirrored_only_as_its_product_allows() -> None:
    made = lessons(6)
    known = {one.numpy().tobytes() for one in made.batch.seen}
    for seed in range(8):
        some = made.drawn(3, (), Draw.at(seed, 0))
        assert all(one.numpy().tobytes() in known for one in some.batch.seen)


def test_a_student_that_restores_the_truth_like_its_teacher_has_only_to_find_the_defect() -> None:
    student, batch = new(), draw_batch(as_tiles(textures(5)), 8, 0.7, np.random.default_rng(0))
    zero = torch.zeros(8, 1, 16, 16)

    def taught(restored: Tensor) -> Lessons:
        return Lessons(batch=batch, restored=restored, maps=zero, usual=torch.ones(1))

    student.restorer = Knows(student, torch.cat([batch.clean, batch.clean]))  # type: ignore[assignment]
    perfect = Pupil(student).loss(batch, taught(batch.clean), torch.Generator())
    lazy = Pupil(student).loss(batch, taught(batch.seen), torch.Generator())
    assert float(perfect["truth"]) == pytest.approx(0, abs=1e-6)
    assert float(perfect["teacher"]) == pytest.approx(0, abs=1e-6)
    assert float(perfect["mask"]) > 0.1
    assert float(lazy["teacher"]) > 1e-4


def test_without_a_teacher_the_truth_teaches_alone() -> None:
    batch = draw_batch(as_tiles(textures(5)), 8, 0.7, np.random.default_rng(0))
    assert Pupil(new()).loss(batch, None, torch.Generator()).keys() == {
        "truth",
        "gate",
        "mask",
        "constructed",
    }
    weights = untaught(PRESETS["edge"].weights)
    assert weights[EVIDENCE.index("taught")] == 0
    assert sum(weights) == pytest.approx(1)
    taught = PRESETS["edge"].weights
    assert weights[0] / weights[-1] == pytest.approx(
        taught[0] / taught[-1]
    )  # the others keep their proportions


def test_a_restorer_that_answers_corruption_is_asked_for_the_good_part() -> None:
    student, batch = new(), draw_batch(as_tiles(textures(5)), 8, 0.7, np.random.default_rng(0))
    pupil = Pupil(student)

    asleep = pupil.loss(batch, None, torch.Generator())["constructed"]
    student.restorer = Knows(student, batch.clean)  # type: ignore[assignment]
    assert float(pupil.loss(batch, None, torch.Generator())["constructed"]) == pytest.approx(0, abs=1e-6)
    assert float(asleep) > 1e-3


def test_teachers_asked_anew_answer_about_new_pictures_on_the_scale_of_their_lessons() -> None:
    anew = Anew(
        teachers=[Copies(shade=0.1, found=1.0)],
        tiles=as_tiles(textures(5)),
        usual=torch.tensor([2.0]),
        stride=4,
        device=CPU,
    )
    one, other, again = (anew.drawn(3, (), Draw.at(0, step)) for step in (0, 1, 0))
    assert torch.allclose(one.restored, one.batch.seen + 0.1)
    assert torch.allclose(one.maps, torch.tensor(0.25))  # half as strong as good parts' strongest
    assert not torch.equal(one.batch.seen, other.batch.seen)
    assert torch.equal(one.batch.seen, again.batch.seen)


def test_lessons_are_read_back_as_they_were_kept(tmp_path: Path) -> None:
    made = lessons(4)
    keep(made, tmp_path / "lessons.pt")
    back = kept(tmp_path / "lessons.pt")
    assert torch.equal(back.batch.seen, made.batch.seen)
    assert torch.equal(back.maps, made.maps)
    assert torch.equal(back.usual, made.usual)
    assert torch.allclose(back.restored, made.restored, atol=1e-3)  # half precision


def test_lessons_have_a_good_part_however_few_they_are() -> None:
    for seed in range(6):
        made = ask([Copies()], as_tiles(textures(5)), 2, 4, seed, CPU)  # type: ignore[list-item]
        assert not made.batch.spoilt.all()
        assert torch.isfinite(made.usual).all()


def test_the_restorer_does_not_learn_to_please_the_finder() -> None:
    student = new()
    for parameter in (*student.restorer.parameters(), *student.finder.parameters()):
        parameter.requires_grad_(True)
    batch = draw_batch(as_tiles(textures(5)), 4, 1.0, np.random.default_rng(0))
    Pupil(student).loss(batch, lessons(8), torch.Generator())["mask"].backward()
    assert student.finder.logits.weight.grad is not None
    assert student.restorer.detail.weight.grad is None


def test_the_gate_is_asked_to_open_where_a_defect_is_and_nowhere_else() -> None:
    """Of a shut gate the truth alone says nothing: its own loss must open it."""
    student, batch = new(), draw_batch(as_tiles(textures(5)), 8, 1.0, np.random.default_rng(0))
    cells = F.max_pool2d(batch.mask, student.config.latent_stride)
    assert 0.02 < float(cells.mean()) < 0.9
    for shut in (True, False):
        deviates = torch.full_like(cells, -9.0 if shut else 9.0, requires_grad=True)

        def answers(z: Tensor, _: list[Tensor], logits: Tensor = deviates) -> tuple[Tensor, Tensor, Tensor]:
            return torch.zeros_like(z), logits, torch.zeros(len(z), 16, 8, 8)

        student.restorer.forward = answers
        Pupil(student, constructed=False).loss(batch, None, torch.Generator())["gate"].backward()
        assert deviates.grad is not None
        assert (deviates.grad[cells > 0] < 0).all() if shut else (deviates.grad[cells == 0] > 0).all()


def test_the_frozen_features_keep_their_statistics_in_training() -> None:
    student = new()
    pupil = Pupil(student).train()
    before = [buffer.clone() for buffer in student.features.buffers()]
    with torch.no_grad():
        batch = draw_batch(as_tiles(textures(5)), 4, 0.7, np.random.default_rng(0))
        pupil.loss(batch, lessons(8), torch.Generator())
    assert student.restorer.training
    assert all(torch.equal(a, b) for a, b in zip(before, student.features.buffers(), strict=True))


@pytest.mark.slow
def test_batch_norm_takes_its_statistics_from_parts_of_which_some_are_spoilt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.student.finish.BATCH_NORM_BATCHES", 16)
    student, tiles = new(), as_tiles(textures(8))
    first = student.restorer.stem[1]
    first.running_mean.fill_(50.0)  # as training may leave it
    weights = [parameter.clone() for parameter in student.parameters()]
    shown: list[Tensor] = []
    evidence = student.evidence
    monkeypatch.setattr(student, "evidence", lambda images: shown.append(images) or evidence(images))
    reestimate_batch_norm(student, tiles, seed=0)
    rng = np.random.default_rng(0)
    drawn = [draw_batch(tiles, 16, BATCH_NORM_SPOILT, rng, vary=True) for _ in range(16)]
    assert all(torch.equal(one, batch.seen) for one, batch in zip(shown, drawn, strict=True))
    assert 0.2 < torch.cat([batch.spoilt for batch in drawn]).float().mean() < 0.45
    images = torch.cat(shown)
    told = student.restorer.tell[0](student.look(images)[1])
    z = student.restorer.stem[0](torch.cat([student.codec.encode(images), told], 1))
    assert torch.allclose(first.running_mean, z.mean((0, 2, 3)), atol=1e-3)
    assert all(torch.equal(a, b) for a, b in zip(weights, student.parameters(), strict=True))
    repeated = first.running_mean.clone()
    reestimate_batch_norm(student, tiles, seed=0)
    assert torch.equal(first.running_mean, repeated)


@pytest.fixture
def few_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scales are taken of what the student shows, whatever its BatchNorm was averaged over."""
    monkeypatch.setattr("models.student.finish.BATCH_NORM_BATCHES", 4)


def opening() -> Student:
    """Its gate opens here and there, and something is put there."""
    student, rng = new(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for last in (student.restorer.detail, student.restorer.deviates):
            last.weight.normal_(0, 0.5, generator=rng)
    return student


@pytest.mark.usefixtures("few_batches")
def test_one_good_cell_in_a_thousand_has_evidence_of_3_and_their_mean_is_0() -> None:
    student, tiles = opening(), as_tiles(textures(8))
    finish(student, tiles, tiles, seed=0)
    assert not student.training
    evidence = student.evidence(tiles.sample(8))[1]
    standard = (evidence - student.mean.view(1, -1, 1, 1)) / student.spread.view(1, -1, 1, 1)
    assert torch.allclose(standard.mean((0, 2, 3)), torch.zeros(len(EVIDENCE)), atol=1e-3)
    rare = standard.transpose(0, 1).flatten(1).quantile(0.999, dim=1)
    floors = torch.tensor([SPREAD_FLOOR] * 7 + [REMEMBERED_FLOOR] * 2)
    is_floored = student.spread <= floors
    assert torch.allclose(rare[~is_floored], torch.tensor(3.0), atol=0.15)
    assert (rare[is_floored] < 3.15).all()
    assert not is_floored.all()
    for index in (2, 3, 4):  # strides 4, 8 and 16: each channel weighs by its own usual distance
        assert float((evidence[:, index].exp() - 1).mean()) == pytest.approx(1, rel=0.1)


@pytest.mark.slow
def test_parts_at_another_exposure_are_nearer_to_what_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiles = as_tiles(textures(8))
    student, alone = new(), new()
    remember(student, tiles, seed=0)
    monkeypatch.setattr("models.student.finish.at_another_exposure", lambda tile, rng: tile)
    remember(alone, tiles, seed=0)
    rng = np.random.default_rng(1)
    others = to_images(np.stack([at_another_exposure(tile, rng) for tile in tiles.pixels]))
    with torch.no_grad():
        near, far = (one.evidence(others)[1][:, -1].mean() for one in (student, alone))
    assert near < far - 0.2


@pytest.mark.slow
@pytest.mark.usefixtures("few_batches")
def test_what_lies_behind_a_product_does_not_scale_its_evidence() -> None:
    """The right half is background: whatever it shows, the scales are those of the left half's cells."""
    plain = textures(8)
    foreground = np.zeros(plain.shape[:3], np.bool_)
    foreground[:, :, :32] = True
    scales = []
    for place in (foreground, None):
        student = opening()
        finish(student, as_tiles(plain), dataclasses.replace(as_tiles(plain), foreground=place), seed=0)
        evidence = student.evidence(as_tiles(plain).sample(8))[1]
        inside = evidence if place is None else evidence[..., :8]
        assert torch.allclose(student.mean, inside.mean((0, 2, 3)), atol=1e-4)
        scales.append(student.mean.clone())
    assert not torch.allclose(scales[0], scales[1], atol=1e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("few_batches")
def test_a_restoration_as_good_as_bf16_can_show_counts_as_usual() -> None:
    student, tiles = new(), as_tiles(textures(8))  # untrained: it restores every pixel as it is
    finish(student, tiles, tiles, seed=0)
    evidence = student.evidence(tiles.sample(8))[1]
    with torch.autocast("cpu", torch.bfloat16):
        rough = student.evidence(tiles.sample(8))[1].float()
    assert ((evidence - rough).abs().mean((0, 2, 3)) < student.spread).all()


@pytest.mark.parametrize(("name", "other"), [("preset", "edge"), ("data", ("x", "y"))])
def test_teachers_of_one_student_must_share_preset_and_data(
    name: str, other: object, tmp_path: object, run_of_tiny: Run
) -> None:
    foreign = dataclasses.replace(run_of_tiny, **{name: other})  # type: ignore[arg-type]
    with pytest.raises(RunError, match=f"another {name}"):
        common([run_of_tiny, foreign], ["one", "two"])  # type: ignore[list-item]


def test_several_teachers_are_named_together(run_of_tiny: Run) -> None:
    both = common([run_of_tiny, dataclasses.replace(run_of_tiny, method="glad")], ["one", "two"])  # type: ignore[list-item]
    assert both.method == "decodiff+glad"


@pytest.fixture
def run_of_tiny() -> Run:
    from agent.bundle.bundle import InputSpec

    spec = InputSpec(channels=1, tile_px=64, overlap_px=8, scale=0.8)
    return Run(method="decodiff", preset="nano", seed=0, data=("tiny",), input=spec)


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_student_from_before_restorers_had_a_gate_is_told_so(tmp_path: Path, is_finished: bool) -> None:
    out = tmp_path / "student"
    out.mkdir()
    (out / STUDENT).write_text("teachers: []\nseed: 0\nimages: 384\nanew: null\nconstructed: null\n")
    if is_finished:
        checkpoint.save(out / WEIGHTS, {"some": torch.zeros(1)})
    with pytest.raises(
        RunError, match=r"earlier version.* remove checkpoint.pt, weights.pt and student.yaml"
    ):
        if is_finished:
            load_student(out)
        else:
            distill([], [write_tiny(tmp_path / "tiny")], out, untaught="nano")
