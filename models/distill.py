"""Teacher to student: learn the one-step restoration and, on synthetic defects, where a defect is.

Three lessons measured on real boards are built in: the teacher's timestep is baked (one correction at
t = 8 is as good as five), the mask head learns from synthetic defects, and BatchNorm statistics, which
training takes from spoilt pictures, are taken anew from good parts before anything is judged.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from agent.messages import Pixels
from models import checkpoint
from models import student as student_file
from models.data import good_training, hold_out, load_items, load_tiles
from models.fit import Draw, Plan, fit
from models.methods.method import Method
from models.parts.anomalies import spoil
from models.parts.features import load_features
from models.parts.losses import focal, soft_dice
from models.precision import training_device
from models.student import FEATURE_STAGES, Student
from models.train import (
    HOLD_OUT_EVERY,
    RUN,
    STUDENT,
    WEIGHTS,
    Run,
    RunError,
    augmented,
    claim,
    load_teacher,
    read_run,
    to_images,
)

SPOILT_SHARE = 0.7
TEACHER_SHARE = 4  # every 4th picture is shown to the teacher too; it costs twice what the student does
BATCH_NORM_BATCHES = 40
SPREAD_FLOOR = 2e-3  # a distance is 1 - cos, and bf16 resolves 0.004 there: a finer unit would be noise

PLANS: dict[str, Plan] = {
    "nano": Plan(images=384, batch=8, rate=2e-3),
    "edge": Plan(images=28_000, batch=16, rate=1.5e-3),
    "paper": Plan(images=400_000, batch=32, rate=1e-3),
}


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One training batch, images (B, C, H, W) in [-1, 1]."""

    clean: Tensor
    seen: Tensor  # clean, or spoilt
    mask: Tensor  # (B, 1, h, w) on the latent grid, 1 where a defect touches the cell


def distill(teacher: Path, data: Path, out: Path, *, seed: int = 0, images: int | None = None) -> Path:
    """Train the student of `teacher`'s preset into `out`; the same command resumes.

    Raises RunError for an unfinished teacher or an `out` of another run, DataError for unusable data.
    """
    run, method = load_teacher(teacher)
    items = load_items(data)
    good, held = hold_out(good_training(items, data), HOLD_OUT_EVERY)
    tiles, held_tiles = load_tiles(good, run.input), load_tiles(held, run.input)
    plan = dataclasses.replace(PLANS[run.preset], seed=seed, **({"images": images} if images else {}))
    if (out / RUN).is_file() and not (out / STUDENT).is_file():
        raise RunError(f"{out}: holds a teacher; choose another --out")
    claim(out / STUDENT, {"teacher": teacher.name, "seed": seed, "images": plan.images})
    claim(out / RUN, yaml.safe_load((teacher / RUN).read_text()))
    device = training_device()
    torch.manual_seed(seed)
    student = new_student(run).to(device)
    student.restorer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fit_whitening(student, tiles)
    method.to(device)

    def losses(draw: Draw) -> dict[str, Tensor]:
        batch = make_batch(tiles, plan.batch, student.config.stride, draw.numpy)
        return student_losses(student, method, _on(batch, device))

    average = fit(student.restorer, losses, plan, out, label=f"student of {run.method} {run.preset}")
    student.restorer.load_state_dict(average.state_dict())
    finish(student, tiles, held_tiles, seed)
    checkpoint.save(out / WEIGHTS, student.cpu().state_dict())
    return out / WEIGHTS


def new_student(run: Run) -> Student:
    """An untrained student for the run's preset and channels."""
    config = dataclasses.replace(student_file.PRESETS[run.preset], channels=run.input.channels)
    return Student(config, load_features(FEATURE_STAGES))


def load_student(folder: Path) -> tuple[Run, Student]:
    """The trained student in eval mode. Raises RunError for none, CheckpointError for damage."""
    state = checkpoint.load(folder / WEIGHTS)
    if state is None or not (folder / STUDENT).is_file():
        raise RunError(
            f"{folder}: no finished student; run `plumbline-lab distill ... --out {folder}` to its end"
        )
    run = read_run(folder)
    student = new_student(run)
    student.load_state_dict(state)
    return run, student.eval().requires_grad_(False)


def make_batch(tiles: Pixels, count: int, stride: int, rng: np.random.Generator) -> Batch:
    """`count` augmented good tiles, most of them spoilt by a synthetic defect."""
    clean, seen, masks = [], [], []
    for index in rng.integers(0, len(tiles), count):
        good = varied(augmented(tiles[index], rng), rng)
        picture, mask = good, np.zeros(good.shape[:2], np.bool_)
        if rng.random() < SPOILT_SHARE:
            picture, mask = spoil(good, augmented(tiles[rng.integers(0, len(tiles))], rng), rng)
        clean.append(good)
        seen.append(picture)
        masks.append(mask)
    full = torch.from_numpy(np.stack(masks)).float()[:, None]
    return Batch(
        clean=to_images(np.stack(clean)), seen=to_images(np.stack(seen)), mask=F.max_pool2d(full, stride)
    )


def varied(tile: Pixels, rng: np.random.Generator) -> Pixels:
    """The same good part on another day: exposure, lamp, focus, noise and place vary.

    Parts of later batches differ from the training parts in just these ways; a student that has not
    seen them takes a new batch for defects.
    """
    height, width = tile.shape[:2]
    picture: npt.NDArray[np.floating] = tile.astype(np.float32)
    if rng.random() < 0.5:
        zoom, shift = rng.uniform(0.94, 1.06), rng.uniform(-8, 8, 2)
        move = np.array(
            [[zoom, 0, (1 - zoom) * width / 2 + shift[0]], [0, zoom, (1 - zoom) * height / 2 + shift[1]]]
        )
        moved = cv2.warpAffine(picture, move, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        picture = np.asarray(moved, np.float32).reshape(tile.shape)
    picture = 255 * np.clip(picture / 255, 0, 1) ** rng.uniform(0.75, 1.35)
    picture = (picture - 128) * rng.uniform(0.7, 1.3) + 128 + rng.uniform(-20, 20)
    if rng.random() < 0.4:
        lamp = cv2.resize(rng.uniform(0.85, 1.15, (3, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
        picture = picture * np.asarray(lamp, np.float32)[..., None]
    if rng.random() < 0.3:
        blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.0))
        picture = np.asarray(blurred, np.float32).reshape(tile.shape)
    if rng.random() < 0.4:
        picture = picture + rng.normal(0, rng.uniform(1, 6), picture.shape)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def student_losses(student: Student, method: Method, batch: Batch) -> dict[str, Tensor]:
    """Restore towards the truth and towards the teacher; find the defect."""
    codec, latents = student.codec, student.codec.encode(batch.seen)
    correction, logit = student.restorer(latents)
    restored = latents - correction.float()
    asked = max(1, len(latents) // TEACHER_SHARE)
    with torch.no_grad():
        taught = codec.encode(method.restore(batch.seen[:asked]).float())
    return {
        "truth": F.smooth_l1_loss(restored, codec.encode(batch.clean)),
        "teacher": 0.5 * F.smooth_l1_loss(restored[:asked], taught),
        "mask": 5 * focal(logit.float(), batch.mask) + soft_dice(logit.float(), batch.mask),
    }


def fit_whitening(student: Student, tiles: Pixels) -> None:
    """The codec's channel statistics, from up to 256 good tiles."""
    sample = to_images(tiles[:: max(1, len(tiles) // 256)])
    student.codec.fit(sample.to(student.codec.mean.device))


def finish(student: Student, tiles: Pixels, held: Pixels, seed: int) -> None:
    """BatchNorm statistics from good parts, then the evidence's scale from held-back good parts."""
    reestimate_batch_norm(student, tiles, seed)
    student.eval()
    device = student.mean.device
    found = []
    with torch.no_grad():
        for start in range(0, len(held), 16):
            _, evidence = student.evidence(to_images(held[start : start + 16]).to(device))
            found.append(evidence)
    evidence = torch.cat(found)  # (B, len(EVIDENCE), h, w)
    student.mean = evidence.mean((0, 2, 3))
    student.spread = evidence.std((0, 2, 3)).clamp_min(SPREAD_FLOOR)


def reestimate_batch_norm(student: Student, tiles: Pixels, seed: int) -> None:
    """Replace the restorer's running statistics by a plain average over good tiles."""
    norms = [module for module in student.restorer.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    student.restorer.train()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for _ in range(BATCH_NORM_BATCHES):
            drawn = rng.integers(0, len(tiles), 16)
            good = to_images(np.stack([varied(augmented(tiles[i], rng), rng) for i in drawn]))
            student.restorer(student.codec.encode(good.to(student.mean.device)))
    student.restorer.eval()


def _on(batch: Batch, device: torch.device) -> Batch:
    return Batch(clean=batch.clean.to(device), seen=batch.seen.to(device), mask=batch.mask.to(device))
