"""Teachers to student: learn restoration and map, and, on synthetic defects, what the teachers cannot know.

Where a picture was spoilt on purpose the clean one is known, so the truth teaches beside the teachers. Their
answers are asked for once, on a set of lessons, because full inference takes many steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.data import preflight
from models.data.batches import Tiles, as_tiles, draw_batch
from models.data.held import good_shares
from models.data.product import MIRRORS, Mirror
from models.methods.method import Restoration
from models.parts.batch import Batch
from models.parts.features import load_features
from models.parts.losses import focal, soft_dice
from models.parts.precision import autocast
from models.stages import SILENT, Stages
from models.store import Place
from models.student import student as student_file
from models.student.finish import finish
from models.student.student import FEATURE_STAGES, Student
from models.training import checkpoint
from models.training.fit import Draw, fit, new_fabric, part, processes, refuse_uneven
from models.training.plans import STUDENTS, Plan
from models.training.shards import Shards, deal, read_shards
from models.training.train import RUN, STUDENT, WEIGHTS, Run, RunError, as_yaml, claim, load_teacher, read_run

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SPOILT_SHARE = 0.7
LESSON_SHARE = 4  # one picture in so many is a lesson, the others are new
LESSONS = "lessons.pt"
LESSON_COUNTS = {"nano": 16, "edge": 192, "paper": 4096}
LESSONS_FEWEST = 16  # of a shard: good parts among them say what usual is
INSPECTED_AT_ONCE = 8
FEATURES_AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """Pictures with what the teachers made of them."""

    batch: Batch
    restored: Tensor  # (N, C, H, W), the teachers' mean
    maps: Tensor  # (N, 1, h, w) in 0..1: 0.5 is the strongest evidence that good parts show

    def drawn(self, count: int, mirrors: Sequence[Mirror], rng: np.random.Generator) -> Lessons:
        """`count` of them, all mirrored in the same way."""
        index = torch.from_numpy(rng.integers(0, len(self.maps), count))
        axes = {"vertical": 2, "horizontal": 3}
        flips = [axes[name] for name in mirrors if rng.random() < 0.5]
        batch = Batch(
            clean=self.batch.clean[index].flip(flips),
            seen=self.batch.seen[index].flip(flips),
            mask=self.batch.mask[index].flip(flips),
            products=self.batch.products[index],
        )
        return Lessons(
            batch=batch, restored=self.restored[index].flip(flips), maps=self.maps[index].flip(flips)
        )

    def to(self, device: torch.device) -> Lessons:
        return Lessons(
            batch=self.batch.to(device), restored=self.restored.to(device), maps=self.maps.to(device)
        )


@dataclass(frozen=True)
class Told:
    """A teacher that is told each product by the number that it knows it by."""

    method: Any
    numbers: Tensor  # (products,)

    def inspect(self, images: Tensor, rng: torch.Generator, products: Tensor) -> Restoration:
        found: Restoration = self.method.inspect(images, rng, self.numbers[products])
        return found

    def to(self, device: torch.device) -> Told:
        return Told(self.method.to(device), self.numbers)


class Pupil(nn.Module):
    """The student with its losses."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def train(self, mode: bool = True) -> Pupil:
        super().train(mode)
        self.student.features.eval()  # frozen, its BatchNorm too
        return self

    def loss(self, batch: Batch, lessons: Lessons) -> dict[str, Tensor]:
        """Restore towards the truth and towards the teachers; find the defect and what the teachers found."""
        student, asked = self.student, len(lessons.maps)
        seen = torch.cat([lessons.batch.seen, batch.seen])
        clean = torch.cat([lessons.batch.clean, batch.clean])
        mask = F.max_pool2d(torch.cat([lessons.batch.mask, batch.mask]), student.config.stride)
        correction, hidden, restored = student.restore(seen)
        with torch.no_grad():
            features, squares = _in_parts(student, seen, restored)
        logits = student.find(seen, restored.detach(), hidden, features, squares).float()
        latents = student.codec.encode(seen) - correction.float()
        return {
            "truth": F.smooth_l1_loss(latents, student.codec.encode(clean)),
            "teacher": 0.5 * F.smooth_l1_loss(latents[:asked], student.codec.encode(lessons.restored)),
            "mask": 5 * focal(logits[:, :1], mask) + soft_dice(logits[:, :1], mask),
            "taught": 0.5 * F.binary_cross_entropy_with_logits(logits[:asked, 1:], lessons.maps),
        }


def distill(
    teachers: Sequence[Place],
    data: Sequence[Path],
    out: Place,
    *,
    seed: int = 0,
    images: int | None = None,
    shards: int | None = None,
    stages: Stages = SILENT,
) -> Place:
    """Train the student of one or several teachers into `out`; the same command resumes.

    An imported teacher may know more products than `data` shows; it is told them by its own numbers. Raises
    RunError for an unfinished teacher, teachers of different inputs or an `out` of another run,
    PreflightError for an `out` of a teacher, DataError for unusable data, ProcessesError as `refuse_uneven`
    and `deal`.
    """
    loaded = [load_teacher(teacher) for teacher in teachers]
    runs = [one for one, _ in loaded]
    run = common(runs, teachers)
    preflight.need_no_other(out, student=True)
    held = good_shares(data)
    good = held.train
    names = tuple(sorted({item.product for item in good}))
    knows_more = all(one.checkpoint for one in runs) and set(names) < set(run.data)
    if names != run.data and not knows_more:
        raise RunError(
            f"the teachers know {', '.join(run.data)}, the data are {', '.join(names)}; give the same --data"
        )
    run = dataclasses.replace(run, data=names, shards=shards)
    plan = STUDENTS[run.preset].sized(images, seed, shards)
    refuse_uneven(plan, processes())
    deal(good, plan.shards)
    fabric = new_fabric()
    tiles = read_shards(good, run.input, plan, fabric, stages)
    held_tiles = as_tiles(held.evidence, run.input, stages) if fabric.global_rank == 0 else None
    claim(
        out / STUDENT,
        {"teachers": [one.name for one in teachers], "seed": seed, "images": plan.images},
        write=fabric.global_rank == 0,
    )
    claim(out / RUN, as_yaml(run), write=fabric.global_rank == 0)
    told = [Told(method, numbers_of(one, names)) for one, method in loaded]
    lessons = _kept_lessons(told, tiles, run, plan, out, fabric, stages)
    torch.manual_seed(seed)
    student = new_student(run).to(fabric.device)
    for net in (student.restorer, student.finder, student.features):
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    student.codec.fit(tiles.sample.sample(256).to(fabric.device))
    pupil = Pupil(student)
    mirrors = [name for name in MIRRORS if all(name in rule.mirrors for rule in tiles.sample.rules)]

    def losses(module: Any, count: int, draw: Draw) -> dict[str, Tensor]:
        some = lessons[draw.shard].drawn(max(1, count // LESSON_SHARE), mirrors, draw.numpy)
        own, new = tiles.own[draw.shard], count - len(some.maps)
        others = draw_batch(own, new, SPOILT_SHARE, draw.numpy, vary=True)
        terms: dict[str, Tensor] = module.loss(others.to(fabric.device), some.to(fabric.device))
        return terms

    label = f"training the student of {', '.join(one.method for one in runs)} {run.preset}"
    average = fit(pupil, losses, plan, out, label=label, fabric=fabric, stages=stages)
    if held_tiles is not None:
        finish(average.student, tiles.sample, held_tiles, seed, stages)
        checkpoint.save(out / WEIGHTS, average.student.cpu().state_dict())
    part(fabric)
    return out / WEIGHTS


def common(runs: Sequence[Run], folders: Sequence[Place]) -> Run:
    """One run that stands for all: teachers must agree in preset, data and input. Raises RunError.

    Its products are in the order of their names, whatever number each teacher knows them by.
    """
    ordered = [
        dataclasses.replace(run, data=tuple(sorted(run.data)), checkpoint=None, shards=None) for run in runs
    ]
    first = ordered[0]
    for run, folder in zip(ordered[1:], folders[1:], strict=True):
        for name in ("preset", "data", "input"):
            if getattr(run, name) != getattr(first, name):
                raise RunError(
                    f"{folder}: another {name} than {folders[0]}; teachers of one student must share it"
                )
    return dataclasses.replace(first, method="+".join(run.method for run in runs))


def numbers_of(run: Run, names: Sequence[str]) -> Tensor:
    """For each product of `names` its number in the teacher's own order."""
    return torch.tensor([run.data.index(name) for name in names])


def new_student(run: Run) -> Student:
    """An untrained student for the run's preset and channels."""
    config = dataclasses.replace(student_file.PRESETS[run.preset], channels=run.input.channels)
    return Student(config, load_features(FEATURE_STAGES))


def load_student(folder: Place) -> tuple[Run, Student]:
    """The trained student in eval mode. Raises RunError for none, CheckpointError for damage."""
    state = checkpoint.load(folder / WEIGHTS)
    if state is None or not (folder / STUDENT).is_file():
        raise RunError(
            f"{folder}: no finished student; run `plumbline-lab distill ... --out {folder}` to its end"
        )
    run = read_run(folder)
    student = new_student(run)
    checkpoint.fill(student, state, folder / WEIGHTS)
    return run, student.eval().requires_grad_(False)


class Inspects(Protocol):
    """What is asked of a teacher."""

    def inspect(self, images: Tensor, rng: torch.Generator, products: Tensor, /) -> Restoration: ...


def ask(
    teachers: Sequence[Inspects],
    tiles: Tiles,
    count: int,
    stride: int,
    seed: int,
    device: torch.device,
    stages: Stages = SILENT,
    *,
    shard: int = 0,
) -> Lessons:
    """`count` pictures, most of them spoilt, and the mean of what the teachers make of them."""
    rng = np.random.default_rng((seed, shard))  # of shard 0 as of the seed alone
    batch = draw_batch(tiles, count, SPOILT_SHARE, rng, vary=True)
    restored, maps = torch.zeros_like(batch.seen), torch.zeros_like(batch.mask)
    for number, teacher in enumerate(teachers, 1):
        name = f"asking teacher {number} of {len(teachers)} about {count} pictures"
        images, found = _inspected(teacher, batch, seed, device, stages, name)
        usual = torch.quantile(found[~batch.spoilt].flatten()[:: max(1, found.numel() // 2_000_000)], 0.999)
        restored += images / len(teachers)
        maps += (found / (2 * usual.clamp_min(1e-6))).clamp(0, 1) / len(teachers)
    return Lessons(batch=batch, restored=restored, maps=F.max_pool2d(maps, stride))


def _in_parts(student: Student, seen: Tensor, restored: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """`Student.differences` of a few pictures at a time: more of them would not fit a CPU's cache."""
    pairs = zip(torch.split(seen, FEATURES_AT_ONCE), torch.split(restored, FEATURES_AT_ONCE), strict=True)
    parts = [student.differences(*pair) for pair in pairs]
    features, squares = (
        [torch.cat(level) for level in zip(*one, strict=True)] for one in zip(*parts, strict=True)
    )
    return features, squares


def lessons_file(shard: int, shards: int) -> str:
    """Where the lessons of one shard of a batch lie."""
    return LESSONS if shards == 1 else f"lessons-{shard}-of-{shards}.pt"


def _kept_lessons(
    teachers: Sequence[Told], tiles: Shards, run: Run, plan: Plan, out: Place, fabric: Fabric, stages: Stages
) -> dict[int, Lessons]:
    """The lessons of this process's shards in `out`, asked for where they are not there yet."""
    found = {}
    count = max(LESSONS_FEWEST, LESSON_COUNTS[run.preset] // plan.shards)
    stride = student_file.PRESETS[run.preset].stride
    for shard, own in tiles.own.items():
        path = out / lessons_file(shard, plan.shards)
        kept = checkpoint.load(path)
        if kept is None:
            here = [teacher.to(fabric.device) for teacher in teachers]
            made = ask(here, own, count, stride, plan.seed, fabric.device, stages, shard=shard)
            batch = {field.name: getattr(made.batch, field.name) for field in dataclasses.fields(Batch)}
            kept = {"batch": batch, "restored": made.restored.half(), "maps": made.maps}
            checkpoint.save(path, kept)
        found[shard] = Lessons(
            batch=Batch(**kept["batch"]), restored=kept["restored"].float(), maps=kept["maps"]
        )
    return found


def _inspected(
    teacher: Inspects, batch: Batch, seed: int, device: torch.device, stages: Stages, name: str
) -> tuple[Tensor, Tensor]:
    """The teacher's restorations (N, C, H, W) and maps (N, 1, H, W) of what is seen."""
    images, maps = [], []
    for start in stages.over(range(0, len(batch.seen), INSPECTED_AT_ONCE), name):
        part = slice(start, start + INSPECTED_AT_ONCE)
        with autocast(device):
            found = teacher.inspect(
                batch.seen[part].to(device), torch.Generator().manual_seed(seed), batch.products[part]
            )
        images.append(found.image.float().cpu())
        maps.append(found.map.float().cpu())
    return torch.cat(images), torch.cat(maps)
