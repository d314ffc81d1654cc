"""One anomalib model as OpenVINO's files, by anomalib's own export, in anomalib's own environment.

    python -m tests.benchmarks.anomalib_export MODEL FOLDER OUT STEPS IMAGENETTE
    python -m tests.benchmarks.anomalib_export --untrained MODEL PATCHES OUT

The first trains on FOLDER as `anomalib_child` does. The second has anomalib's network without anybody's
weights, PatchCore with PATCHES random ones in its memory: it costs what the trained one costs and knows
nothing. OUT/weights/openvino/model.xml is written; the last line printed is the processor's minutes.
Its batch is one: left free, PatchCore's comes out as two, which anomalib's inferencer does not feed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from anomalib.models import EfficientAd, Patchcore

from tests.benchmarks.anomalib_child import PLAIN, fitted

SIDE_PX = 256


def main() -> None:
    if sys.argv[1] == "--untrained":
        name, patches, out = sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
        torch.manual_seed(0)
        model = UNTRAINED[name](patches)
    else:
        name, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
        model, *_ = fitted(name, folder, out, int(sys.argv[4]))
    model.eval().to_openvino(out, input_size=(SIDE_PX, SIDE_PX), onnx_kwargs={"dynamic_axes": None})
    print(time.process_time() / 60)


def patchcore(patches: int) -> Patchcore:
    model = Patchcore(pre_trained=False, **PLAIN)
    with torch.no_grad():
        channels = model.model.train()(torch.zeros(1, 3, SIDE_PX, SIDE_PX)).shape[1]
    model.model.embedding_store.clear()
    model.model.memory_bank = torch.rand(patches, channels)
    return model


def efficient_ad(_: int) -> EfficientAd:
    model = EfficientAd(**PLAIN)
    with torch.no_grad():  # zero until it is trained, and divided by
        model.model.mean_std["std"].fill_(1.0)
        for name in ("qb_st", "qb_ae"):
            model.model.quantiles[name].fill_(1.0)
    return model


UNTRAINED: dict[str, Callable[[int], Any]] = {"PatchCore": patchcore, "EfficientAD-S": efficient_ad}

if __name__ == "__main__":
    main()
