"""Teachers to student: learn restoration and map, and, on synthetic defects, what the teachers cannot know.

Where a picture was spoilt on purpose the clean one is known, so the truth teaches beside the teachers;
without any it teaches alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from models.data import preflight
from models.data.batches import as_tiles, draw_batch
from models.data.datasets import input_spec
from models.data.held import good_shares
from models.data.product import MIRRORS
from models.parts.batch import Batch
from models.parts.corruption import SMALL, USUAL, partly
from models.parts.defects.anomalies import CHANGED_GREY_LEVELS
from models.parts.features import load_features, load_later_features
from models.parts.losses import focal, left_over, soft_dice
from models.parts.schedule import cosine
from models.stages import SILENT, Stages
from models.store import Place
from models.student import student as student_file
from models.student.finish import finish
from models.student.lessons import SPOILT_SHARE, Anew, Lessons, Told, ask, keep, kept, lessons_file
from models.student.student import FEATURE_STAGES, REMEMBERED_STAGES, Restored, Student
from models.training import checkpoint
from models.training.fit import CHECKPOINT, Draw, fit, new_fabric, part, processes, refuse_uneven
from models.training.plans import STUDENTS, TILE_PX_OF_PRESET, Plan
from models.training.shards import Shards, deal, read_shards
from models.training.train import RUN, STUDENT, WEIGHTS, Run, RunError, as_yaml, claim, load_teacher, read_run

if TYPE_CHECKING:
    from lightning_fabric import Fabric

UNTAUGHT = "none"  # the method of a student without a teacher
LESSON_SHARE = 4  # one picture in so many is a lesson, the others are new
LESSON_COUNTS = {"nano": 16, "edge": 192, "paper": 4096}
LESSONS_FEWEST = 16  # of a shard: good parts among them say what usual is
FEATURES_AT_ONCE = 4
CORRUPTED_SHARE = 4  # one corrupted good picture for so many new ones
TIMESTEPS, BAKED = 10, 8  # of the corruption that a restorer answers in one step


class Pupil(nn.Module):
    """The student with its losses."""

    def __init__(self, student: Student, *, constructed: bool = True) -> None:
        """With `constructed` the restorer answers DeCo-Diff's corruption of good parts, too, in one step."""
        super().__init__()
        self.student = student
        self.constructed = constructed
        self.corruption = cosine(TIMESTEPS)
        self.patches = USUAL if student.config.widths[0] > 16 else SMALL

    def train(self, mode: bool = True) -> Pupil:
        super().train(mode)
        self.student.features.eval()  # frozen, their BatchNorm too
        self.student.later.eval()
        return self

    def loss(self, batch: Batch, lessons: Lessons | None, rng: torch.Generator) -> dict[str, Tensor]:
        """Restore towards the truth and towards the teachers; find the defect and what the teachers found."""
        student, stride = self.student, self.student.config.stride
        asked = [lessons.batch] if lessons is not None else []
        seen, clean, mask = (
            torch.cat([getattr(one, name) for one in (*asked, batch)]) for name in ("seen", "clean", "mask")
        )
        look = self._look(seen)
        found = student.restore(seen, look)
        squares = self._differences(look, found.image)
        logits = student.find(seen, found, look, squares).float()
        cells = F.max_pool2d(mask, stride)
        terms = {
            **self._restored(found, seen, clean, mask),
            "mask": 5 * focal(logits[:, :1], cells) + soft_dice(logits[:, :1], cells),
        }
        if self.constructed:
            some = batch.clean[: max(1, len(batch.clean) // CORRUPTED_SHARE)]
            corrupted, places = self.corrupted(some, rng)
            again = student.restore(corrupted, self._look(corrupted))
            answers = self._restored(again, corrupted, some, places)
            terms["constructed"], terms["gate"] = answers["truth"], terms["gate"] + answers["gate"]
        if lessons is not None:
            own = slice(len(lessons.maps))
            wanted = student.codec.encode(lessons.restored)
            latents = student.codec.encode(seen[own]) - found.correction[own].float()
            terms["teacher"] = 0.5 * F.smooth_l1_loss(latents, wanted)
            terms["taught"] = 0.5 * F.binary_cross_entropy_with_logits(logits[own, 1:], lessons.maps)
        return terms

    def corrupted(self, clean: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """DeCo-Diff's corruption of good pictures at one time, and where they changed (B, 1, H, W)."""
        z = self.student.codec.encode(clean)
        z_t = partly(z, torch.full((len(z),), BAKED), self.corruption, self.patches, rng)
        seen = self.student.codec.decode(z_t).clamp(-1, 1)
        moved = (seen - clean).abs().amax(1, keepdim=True) * 127.5
        return seen, (moved >= CHANGED_GREY_LEVELS).float()

    # Frozen features of a few pictures at a time: more of them would not fit a CPU's cache.

    @torch.no_grad()
    def _look(self, images: Tensor) -> list[Tensor]:
        parts = [self.student.look(few) for few in torch.split(images, FEATURES_AT_ONCE)]
        return [torch.cat(level) for level in zip(*parts, strict=True)]

    @torch.no_grad()
    def _differences(self, look: list[Tensor], restored: Tensor) -> list[Tensor]:
        few = zip(*(torch.split(level, FEATURES_AT_ONCE) for level in (*look, restored)), strict=True)
        parts = [self.student.differences(list(seen), image) for *seen, image in few]
        return [torch.cat(level) for level in zip(*parts, strict=True)]

    def _restored(self, found: Restored, seen: Tensor, clean: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """How far the defect is gone, and whether the gate opens where one is."""
        deviates = found.deviates.float()
        cells = F.max_pool2d(mask, self.student.config.latent_stride)
        opened = F.binary_cross_entropy_with_logits(deviates, cells) + soft_dice(deviates, cells)
        return {"truth": left_over(found.image.float(), clean, seen, mask), "gate": 0.5 * opened}


def distill(
    teachers: Sequence[Place],
    data: Sequence[Path],
    out: Place,
    *,
    seed: int = 0,
    images: int | None = None,
    shards: int | None = None,
    untaught: str = "edge",
    anew: bool = False,
    constructed: bool = True,
    stages: Stages = SILENT,
) -> Place:
    """Train the student of one or several teachers into `out`; the same command resumes.

    Without a teacher it learns from the truth alone, by the preset `untaught`. With `anew` teachers answer
    about new pictures at each step, not about a set of lessons; `constructed` is `Pupil`'s. An imported
    teacher may know more products than `data` shows; it is told them by its own numbers. Raises RunError for
    an unfinished teacher, teachers of different inputs or an `out` of another run, PreflightError for an
    `out` of a teacher, DataError for unusable data, ProcessesError as `refuse_uneven` and `deal`.
    """
    loaded = [load_teacher(teacher) for teacher in teachers]
    runs = [one for one, _ in loaded]
    preflight.need_no_other(out, student=True)
    _refuse_earlier(out)
    held = good_shares(data)
    good = held.train
    names = tuple(sorted({item.product for item in good}))
    if runs:
        run = agreed(runs, teachers, names)
    else:
        spec = input_spec(good, TILE_PX_OF_PRESET[untaught])
        run = Run(method=UNTAUGHT, preset=untaught, seed=seed, data=names, input=spec)
    run = dataclasses.replace(run, shards=shards)
    plan = STUDENTS[run.preset].sized(images, seed, shards)
    refuse_uneven(plan, processes())
    deal(good, plan.shards)
    fabric = new_fabric()
    tiles = read_shards(good, run.input, plan, fabric, stages)
    held_tiles = as_tiles(held.evidence, run.input, stages) if fabric.global_rank == 0 else None
    claim(
        out / STUDENT,
        {
            "teachers": [one.name for one in teachers],
            "seed": seed,
            "images": plan.images,
            "anew": anew or None,  # as in runs from before there was a choice
            "constructed": constructed,
        },
        write=fabric.global_rank == 0,
    )
    claim(out / RUN, as_yaml(run), write=fabric.global_rank == 0)
    told = [Told(method, numbers_of(one, names)) for one, method in loaded]
    lessons: dict[int, Lessons] | dict[int, Anew] = {}
    if told:
        here = [teacher.to(fabric.device) for teacher in told]
        lessons = _lessons(here, tiles, run, plan, out, fabric, stages)
        if anew:
            stride = student_file.PRESETS[run.preset].stride
            lessons = {
                shard: Anew(
                    teachers=here,
                    tiles=tiles.own[shard],
                    usual=one.usual,
                    stride=stride,
                    device=fabric.device,
                )
                for shard, one in lessons.items()
            }
    torch.manual_seed(seed)
    student = new_student(run).to(fabric.device)
    for net in (student.restorer, student.finder, student.features, student.later):
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    student.codec.fit(tiles.sample.sample(256).to(fabric.device))
    pupil = Pupil(student, constructed=constructed)
    mirrors = [name for name in MIRRORS if all(name in rule.mirrors for rule in tiles.sample.rules)]

    def losses(module: Any, count: int, draw: Draw) -> dict[str, Tensor]:
        asked = max(1, count // LESSON_SHARE) if lessons else 0
        some = lessons[draw.shard].drawn(asked, mirrors, draw).to(fabric.device) if lessons else None
        others = draw_batch(tiles.own[draw.shard], count - asked, SPOILT_SHARE, draw.numpy, vary=True)
        terms: dict[str, Tensor] = module.loss(others.to(fabric.device), some, draw.torch)
        return terms

    of = f"the student of {', '.join(one.method for one in runs)}" if runs else "a student without a teacher"
    label = f"training {of} {run.preset}"
    average = fit(pupil, losses, plan, out, label=label, fabric=fabric, stages=stages)
    if held_tiles is not None:
        finish(average.student, tiles.sample, held_tiles, seed, stages)
        checkpoint.save(out / WEIGHTS, average.student.cpu().state_dict())
    part(fabric)
    return out / WEIGHTS


def agreed(runs: Sequence[Run], folders: Sequence[Place], names: tuple[str, ...]) -> Run:
    """`common`, of the products `names`. Raises RunError for teachers that do not know just these, too.

    One that was imported may know more.
    """
    run = common(runs, folders)
    knows_more = all(one.checkpoint for one in runs) and set(names) < set(run.data)
    if names != run.data and not knows_more:
        raise RunError(
            f"the teachers know {', '.join(run.data)}, the data are {', '.join(names)}; give the same --data"
        )
    return dataclasses.replace(run, data=names)


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
    if run.method == UNTAUGHT:
        config = dataclasses.replace(config, weights=student_file.untaught(config.weights))
    later = load_later_features(REMEMBERED_STAGES, after=FEATURE_STAGES[-1])
    return Student(config, load_features(FEATURE_STAGES), later)


def load_student(folder: Place) -> tuple[Run, Student]:
    """The trained student in eval mode. Raises RunError for none, CheckpointError for damage."""
    state = checkpoint.load(folder / WEIGHTS)
    if state is None or not (folder / STUDENT).is_file():
        raise RunError(
            f"{folder}: no finished student; run `plumbline-lab distill ... --out {folder}` to its end"
        )
    _refuse_earlier(folder)
    run = read_run(folder)
    student = new_student(run)
    checkpoint.fill(student, state, folder / WEIGHTS)
    return run, student.eval().requires_grad_(False)


def _refuse_earlier(folder: Place) -> None:
    """Raises RunError for the run of a student from before restorers had a gate."""
    about = folder / STUDENT
    with suppress(yaml.YAMLError, AttributeError, ValueError):  # no run's own words: `claim` says so
        if about.is_file() and yaml.safe_load(about.read_text()).get("constructed") is None:
            raise RunError(
                f"{folder}: a student of an earlier version, which this one cannot go on with; remove "
                f"{CHECKPOINT}, {WEIGHTS} and {STUDENT} there and run the same command again; lessons stay"
            )


def _lessons(
    teachers: Sequence[Told], tiles: Shards, run: Run, plan: Plan, out: Place, fabric: Fabric, stages: Stages
) -> dict[int, Lessons]:
    """The lessons of this process's shards in `out`, asked for where they are not there yet."""
    found = {}
    count = max(LESSONS_FEWEST, LESSON_COUNTS[run.preset] // plan.shards)
    stride = student_file.PRESETS[run.preset].stride
    for shard, own in tiles.own.items():
        path = out / lessons_file(shard, plan.shards)
        lessons = kept(path)
        if lessons is None:
            made = ask(teachers, own, count, stride, plan.seed, fabric.device, stages, shard=shard)
            lessons = keep(made, path)
        found[shard] = lessons
    return found
