"""One anomalib model on one prepared set, run by the interpreter of anomalib's own environment.

    python -m tests.benchmarks.anomalib_child MODEL FOLDER OUT STEPS

FOLDER has train/good, test/good and test/bad as `bench_anomalib` writes them; OUT becomes an .npz of names,
scores and maps. The last line printed is a JSON object: minutes, device, versions. Needs anomalib 2.7, torch
and numpy; of this project only the feature net, which needs no more than torch.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import anomalib
import numpy as np
import torch
from anomalib.data import Folder
from anomalib.engine import Engine
from anomalib.models import Dinomaly, EfficientAd, Patchcore
from anomalib.pre_processing import PreProcessor
from torchvision.transforms.v2 import Compose, Normalize, Resize

from models.parts.features import load_features

PLAIN: dict[str, Any] = {"post_processor": False, "evaluator": False, "visualizer": False}  # raw scores
EVERY_STAGE = 6


def main() -> None:
    name, folder, out, steps = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    model, engine, data, minutes = fitted(name, folder, out.parent, steps)
    names, scores, maps = [], [], []
    for batch in engine.predict(model, dataloaders=data.test_dataloader()):
        names += [str(Path(path).relative_to(folder)) for path in batch.image_path]
        scores.append(batch.pred_score.float().flatten().cpu().numpy())
        maps.append(batch.anomaly_map.float().flatten(0, -3).cpu().numpy())
    np.savez(out, names=np.array(names), scores=np.concatenate(scores), maps=np.concatenate(maps))
    versions = f"anomalib {anomalib.__version__}, torch {torch.__version__}"
    print(
        json.dumps({"minutes": minutes, "device": str(engine.trainer.strategy.root_device), "with": versions})
    )


def fitted(name: str, folder: Path, beside: Path, steps: int) -> tuple[Any, Engine, Folder, float]:
    """The model, trained on the good parts of `folder`; what trained it, and in how many minutes."""
    torch.manual_seed(0)
    started = time.perf_counter()
    model = MODELS[name](folder)
    is_efficient_ad = name == "EfficientAD-S"  # alone in scaling its maps by good parts kept aside
    data = Folder(
        name="set",
        root=folder,
        normal_dir="train/good",
        normal_test_dir="test/good",
        abnormal_dir="test/bad",
        train_batch_size=1 if is_efficient_ad else 16,
        eval_batch_size=8,
        num_workers=0,
        val_split_mode="from_train" if is_efficient_ad else "same_as_test",  # there is no "none" that runs
        val_split_ratio=0.1,
    )
    limits: dict[str, int] = {} if name.startswith("PatchCore") else {"max_steps": steps}
    if not is_efficient_ad:
        limits["limit_val_batches"] = 0  # nothing may be looked at before it is judged
    engine = Engine(default_root_dir=beside / "results", logger=False, enable_progress_bar=False, **limits)
    engine.fit(model, datamodule=data)
    return model, engine, data, (time.perf_counter() - started) / 60


def patchcore(_: Path) -> Patchcore:
    return Patchcore(**PLAIN)


def patchcore_lite0(_: Path) -> Patchcore:
    """The yardstick's features in anomalib's memory, at strides 8 and 16, as its paper takes them."""
    half = [0.5, 0.5, 0.5]
    shown = PreProcessor(transform=Compose([Resize((256, 256), antialias=True), Normalize(half, half)]))
    model = Patchcore(
        backbone="tf_efficientnet_lite0",
        layers=("blocks.2", "blocks.4"),
        pre_trained=False,
        pre_processor=shown,
        **PLAIN,
    )
    net = model.model.feature_extractor.feature_extractor
    wanted, ours = net.state_dict(), load_features((EVERY_STAGE,)).state_dict()
    for (key, value), (own, weights) in zip(wanted.items(), ours.items(), strict=False):
        if value.shape != weights.shape:  # both list their layers in the order of computation
            raise ValueError(f"{key} is {tuple(value.shape)}, {own} is {tuple(weights.shape)}: another timm")
        value.copy_(weights)
    return model


def efficient_ad(_: Path) -> EfficientAd:
    return EfficientAd(imagenet_dir=Path(sys.argv[5]), **PLAIN)


def dinomaly(_: Path) -> Dinomaly:
    return Dinomaly(pre_processor=Dinomaly.configure_pre_processor((448, 448), crop_size=448), **PLAIN)


MODELS = {
    "PatchCore": patchcore,
    "PatchCore, EfficientNet-Lite0": patchcore_lite0,
    "EfficientAD-S": efficient_ad,
    "Dinomaly": dinomaly,
}

if __name__ == "__main__":
    main()
