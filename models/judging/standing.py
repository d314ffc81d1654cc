"""Whether a model ranks as well as the yardstick does: on a test split, or on what no training saw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.bundle.bundle import InputSpec
from agent.bundle.standing import Standing
from agent.line.prepare import cut_tiles
from agent.messages import Flags, Floats
from models.data.datasets import Item
from models.judging.evaluate import Inspector, Judged
from models.judging.paired import paired
from models.judging.unseen import PAIRS, TWINS_SEED, picture_of, spoilt_twins
from models.judging.yardstick import Yardstick
from models.stages import SILENT, Stages

UNSEEN = "held-back good parts, and these with blended pieces that no training saw"


def on_test(model: Sequence[Judged], yardstick: Sequence[Judged], strides: tuple[int, ...]) -> Standing:
    """Of a model beside the yardstick, both on the same test pictures in the same order."""
    labels = np.array([not one.item.is_good for one in model])
    scores = [np.array([one.score for one in some], np.float32) for some in (model, yardstick)]
    return standing(labels, scores[0], scores[1], strides, "test pictures")


def on_unseen(
    inspector: Inspector,
    yardstick: Yardstick,
    kept: Sequence[Item],
    held: Sequence[Item],
    spec: InputSpec,
    stages: Stages = SILENT,
) -> Standing:
    """Where there is no test split: held-back good parts against the same with defects kept aside.

    Raises DataError.
    """
    good = [picture_of(item, spec) for item in held[:: -(-len(held) // PAIRS)]]
    bad = [twin.spoilt for twin in spoilt_twins(held, kept, spec, PAIRS, TWINS_SEED)]
    own, others = [], []
    for picture in stages.over([*good, *bad], "ranking beside the yardstick"):
        tiles, _ = cut_tiles(picture, spec)
        own.append(float(inspector(tiles).scores.max()))
        others.append(float(yardstick.inspect(tiles).scores.max()))
    labels = np.arange(len(own)) >= len(good)
    scores = np.array(own, np.float32), np.array(others, np.float32)
    return standing(labels, *scores, yardstick.strides, UNSEEN)


def standing(
    labels: Flags, model: Floats, yardstick: Floats, strides: tuple[int, ...], source: str
) -> Standing:
    """Of two models' scores on the same pictures."""
    found = paired(labels, model, yardstick)
    return Standing(
        model_auroc=found.one,
        yardstick_auroc=found.other,
        difference=(found.low, found.high),
        good=int((~labels).sum()),
        defective=int(labels.sum()),
        source=source,
        strides=strides,
    )
