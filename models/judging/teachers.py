"""Whether teachers are worth asking: each is held against a plain memory of good parts first.

A student without a teacher has that memory in its own graph, so that a teacher which ranks below it has
nothing to teach.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.bundle.standing import Standing
from agent.errors import PlumblineError
from models.data.held import good_shares
from models.judging.evaluate import by_teacher
from models.judging.standing import on_unseen
from models.judging.yardstick import build
from models.parts.precision import training_device
from models.stages import SILENT, Stages
from models.store import Place
from models.student.distill import agreed
from models.training.train import load_teacher


class WeakTeacherError(PlumblineError):
    """A plain memory of good parts ranks better than the teacher."""


def need_able(teachers: Sequence[Place], data: Sequence[Path], stages: Stages = SILENT) -> list[Standing]:
    """How each teacher ranks held-back good parts and defects that no training saw.

    Raises WeakTeacherError for the first that ranks below a memory of the same parts beyond chance;
    RunError as `distill` does, DataError.
    """
    shares = good_shares(data)
    names = tuple(sorted({item.product for item in shares.train}))
    loaded = [load_teacher(teacher) for teacher in teachers]
    spec = agreed([run for run, _ in loaded], teachers, names).input
    yardstick = build(shares.train, shares.held, spec, stages=stages).yardstick
    found = []
    for place, (run, method) in zip(teachers, loaded, strict=True):
        known = run.data.index(*names) if len(names) == 1 else None
        inspector = by_teacher(method, run.seed, known, training_device())
        standing = on_unseen(inspector, yardstick, shares.train, shares.held, spec, stages)
        if standing.is_worse:
            raise WeakTeacherError(
                f"{place}: the teacher {standing.words()}; leave it out, train it longer, or ask it all the "
                "same with --accept-worse"
            )
        found.append(standing)
    return found
