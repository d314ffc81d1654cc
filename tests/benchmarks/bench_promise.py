"""What a threshold promises, and what held-out good parts then show; no GPU: `python bench_promise.py`.

    --data FOLDER     of kolektor_sdd and magnetic_tile; each is judged by a bundle of its own where --bundle
                      NAME=BUNDLE names one, else by the sample bundle, which was taught another product: only
                      the promise is measured, not how well defects are found
    elpv              comes with the package elpv-dataset

Good training parts calibrate, of a set that the bundle was trained on those that were held back then; good
test parts are held out. Beside the one split, the two are pooled and split anew 200 times, since a promise
holds on the average. Groups are half stops of light; cells of elpv count by module.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from agent.bundle.bundle import open_bundle
from agent.cameras.camera import CameraError
from agent.cameras.images import list_images
from agent.clock import SystemClock
from agent.demo.cells import RUN_OF_CELLS
from agent.engines.open import open_engine
from agent.settings import settings
from agent.teach.scores import Scores, of_files
from agent.teach.threshold import Scored, groups, promise, share
from models.data.held import good_items

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "models" / "bundles" / "elpv"
TARGETS = (0.05, 0.02, 0.005)
SPLITS = 200


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", type=Path)
    asked.add_argument("--bundle", action="append", default=[], metavar="NAME=BUNDLE")
    asked.add_argument("--json", type=Path)
    given = asked.parse_args()
    bundles = dict(one.split("=", 1) for one in given.bundle)
    sets = {} if given.data is None else {one: given.data / one for one in ("kolektor_sdd", "magnetic_tile")}
    rows = [
        row for name, root in sets.items() for row in measured(name, root, Path(bundles.get(name, SAMPLE)))
    ]
    rows += measured("elpv", sample(), Path(bundles.get("elpv", SAMPLE)))
    show(rows)
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


def by_module(parts: Sequence[Scored], files: Sequence[Path]) -> list[Scored]:
    """Cells stand in the order of their modules: 60 neighbours are as alike as frames of one minute."""
    numbers = [int("".join(filter(str.isdigit, file.stem))) // RUN_OF_CELLS for file in files]
    return [replace(one, minute=str(number)) for one, number in zip(parts, numbers, strict=True)]


def sample() -> Path:
    """elpv in folders, made where it is not there yet."""
    from models.cli.sample import sample as write

    root = ROOT / "sample-data" / "elpv"
    if not root.exists():
        write("elpv", root)
    return root


def measured(name: str, root: Path, bundle: Path) -> list[dict[str, object]]:
    """A row for each target; none, and a word, where the data are not there."""
    try:
        files = list_images(root / "train" / "good")
        if open_bundle(bundle).manifest.provenance.data == name:
            files = [one.image for one in good_items([root])[1]]
        train, test = judged(files, bundle), judged(list_images(root / "test" / "good"), bundle)
        if name == "elpv":
            train = by_module(train, files)
    except CameraError as error:
        print(f"{name}: left out: {error}")
        return []
    rows = []
    for target in TARGETS:
        began = time.monotonic()
        found = promise(train, target)
        took_s = time.monotonic() - began
        held = share(test, found.threshold)
        rows.append(
            {
                "set": name,
                "bundle": open_bundle(bundle).manifest.name,
                "target": target,
                "calibrated on": len(train),
                "promised": found.rate,
                "worth": found.share.worth,
                "missing": found.missing,
                "interval": found.share.interval,
                "held out": len(test),
                "rejected": held.rejected,
                "measured": held.rate,
                "measured interval": held.interval,
                "on average": averaged([*train, *test], len(train), target),
                "tail": found.tail.threshold is not None,
                "groups": {
                    one.name: (one.share.rejected, one.share.frames) for one in groups(test, found.threshold)
                },
                "took_s": took_s,
            }
        )
    return rows


def averaged(parts: Sequence[Scored], count: int, target: float) -> tuple[float, float]:
    """Promised and measured, over random splits of the same sizes."""
    rng, rates, kept = np.random.default_rng(0), [], []
    scores = np.array([one.score for one in parts], np.float32)
    for _ in range(SPLITS):
        drawn = rng.permutation(len(scores))
        good, held = np.sort(scores[drawn[:count]]), scores[drawn[count:]]
        rank = min(count, int(np.ceil(round((count + 1) * (1 - target), 6))))
        rates.append(float((held > good[rank - 1]).mean()))
        kept.append(max(target, 1 / (count + 1)))
    return kept[0], float(np.mean(rates))


def judged(files: Sequence[Path], bundle: Path) -> Sequence[Scored]:
    opened = open_bundle(bundle)
    engine = open_engine(opened, settings.Engine(kind="openvino", threads=1))
    found: Scores = of_files(files, opened.manifest.input, engine, SystemClock())
    engine.close()
    return found.parts


def show(rows: Sequence[dict[str, object]]) -> None:
    print(
        "set, target, promised (Wilson), measured on held-out, promised and measured of 200, tail, by group"
    )
    for row in rows:
        low, high = row["interval"]  # type: ignore[misc]
        kept, average = row["on average"]  # type: ignore[misc]
        seen: dict[str, tuple[int, int]] = row["groups"]  # type: ignore[assignment]
        parts = "; ".join(f"{name} {rejected}/{frames}" for name, (rejected, frames) in seen.items())
        print(
            f"{row['set']:14} {row['target']:.3f}  {row['promised']:.4f} of {row['worth']:.0f}  "
            f"{low:.4f} to {high:.4f}  "
            f"{row['rejected']:>3}/{row['held out']:<4} {row['measured']:.4f}        "
            f"{kept:.4f} {average:.4f}   {'yes' if row['tail'] else 'no':4}  {parts}"
        )


if __name__ == "__main__":
    main()
