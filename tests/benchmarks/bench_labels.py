"""How often labels are right from five marks a class, and what they cost a part that fails; no GPU.

`python -m tests.benchmarks.bench_labels DATA [--bundle BUNDLE] [--seeds N]`, DATA the folder of the set.
Its defective tiles are halved once, by tile, since each was taken at several exposures. Five pictures of a
class from the one half are the marks, drawn anew by each seed; the other half, which nothing was chosen on,
is named by them. Where a defect is, its mask says, and beside that the bundle's own map, as on a line. Then
one class after the other is never marked, and how much of it is told as unknown. The costs: the sample
bundle's steps with and without labels, by turns.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from agent.bundle.bundle import Bundle, open_bundle
from agent.clock import SystemClock
from agent.engines.engine import Engine
from agent.engines.open import open_engine
from agent.engines.serving import Serving
from agent.engines.switch import Switch
from agent.explain.form import open_form
from agent.labels.features import open_features
from agent.labels.folder import Labelled, vector_of_picture
from agent.labels.label_set import LEAST, UNKNOWN, LabelsError, LabelSet
from agent.labels.learn import Sample, learn
from agent.labels.namer import Namer
from agent.labels.nearest import Named, name
from agent.labels.shelf import Shelf
from agent.line.infer import infer
from agent.line.judge import judge
from agent.line.opened import OpenedBundle
from agent.line.prepare import prepare
from agent.line.recipe import Recipe, make_recipe
from agent.line.record import Judged
from agent.messages import Frame
from agent.settings import settings
from tests.benchmarks.bench_web import processor

SAMPLE = Path(__file__).resolve().parents[2] / "models" / "bundles" / "elpv"
TURNS = 40


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A labelled defect of the set, its tile, and whether that is of the half that marks are drawn from."""

    sample: Sample
    tile: str
    marks: bool


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("data", type=Path)
    asked.add_argument("--bundle", type=Path, default=SAMPLE)
    asked.add_argument("--seeds", type=int, default=20)
    given = asked.parse_args()
    bundle = open_bundle(given.bundle)
    print(f"{processor()}; bundle {bundle.manifest.name} {bundle.sha256[:12]}")
    for where, masks in (("by masks", True), ("by the bundle's map", False)):
        seen = vectors(given.data / "magnetic_tile", bundle, masks=masks)
        show(where, seen, bundle, given.seeds)
    print(cost(bundle))


def vectors(root: Path, bundle: Bundle, *, masks: bool) -> list[Seen]:
    """Of every defective picture whose mask marks something."""
    with (root / "manifest.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == "1" and int(row["mask_px"]) >= 4]
    tiles = halves({row["group"]: row["defect"] for row in reversed(rows)})
    form, features, clock = open_form(bundle), open_features(bundle), SystemClock()
    seen = []
    for row in rows:
        one = Labelled(
            label=row["defect"], image=root / row["image"], mask=root / row["mask"] if masks else None
        )
        try:
            vector = vector_of_picture(one, bundle, form, features, clock)
        except LabelsError as error:
            print(error)
            continue
        sample = Sample(label=row["defect"], source=row["image"], vector=vector)
        seen.append(Seen(sample=sample, tile=row["group"], marks=tiles[row["group"]]))
    return seen


def halves(defect_of: Mapping[str, str]) -> dict[str, bool]:
    """By tile, whether marks are drawn from it: every other one of each class, in an order drawn once."""
    rng = np.random.default_rng(0)
    of_class: defaultdict[str, list[str]] = defaultdict(list)
    for tile, defect in sorted(defect_of.items()):
        of_class[defect].append(tile)
    return {
        tile: number % 2 == 0
        for _, tiles in sorted(of_class.items())
        for number, tile in enumerate(rng.permutation(tiles).tolist())
    }


def drawn(seen: Sequence[Seen], seed: int, without: str | None = None) -> list[Sample]:
    """Five marks of each class, of as many tiles as there are."""
    rng, marks = np.random.default_rng(seed), []
    for label in sorted({one.sample.label for one in seen} - {without}):
        own = [one for one in seen if one.marks and one.sample.label == label]
        order = [own[index] for index in rng.permutation(len(own))]
        first = [one for number, one in enumerate(order) if one.tile not in {o.tile for o in order[:number]}]
        again = [one for one in order if one not in first]
        marks += [one.sample for one in (first + again)[:LEAST]]
    return marks


def show(where: str, seen: Sequence[Seen], bundle: Bundle, seeds: int) -> None:
    tested = [one.sample for one in seen if not one.marks]
    labels = sorted({one.label for one in tested})
    counts = Counter(one.label for one in tested)
    stacked = np.stack([one.vector for one in tested])
    confusion: Counter[tuple[str, str]] = Counter()
    macro, unknown, found, certain = [], [], [], []
    for seed in range(seeds):
        told = name(_set(drawn(seen, seed), bundle), stacked)
        hits = [one.label == named.label for one, named in zip(tested, told, strict=True)]
        rates = [np.mean([h for h, t in zip(hits, tested, strict=True) if t.label == one]) for one in labels]
        macro.append(float(np.mean(rates)))
        unknown.append(float(np.mean([named.label == UNKNOWN for named in told])))
        certain += [
            (named.certainty, hit) for named, hit in zip(told, hits, strict=True) if named.label != UNKNOWN
        ]
        confusion.update((one.label, named.label) for one, named in zip(tested, told, strict=True))
        found += [_new(seen, tested, stacked, bundle, seed, one) for one in labels]
    tiles = {one.tile for one in seen if not one.marks}
    print(
        f"\n{where}: {len(tested)} defects of {len(tiles)} tiles, {seeds} draws "
        f"of {LEAST} marks a class\nmacro accuracy {np.mean(macro):.3f}, standard deviation of draws "
        f"{np.std(macro):.3f}, {min(macro):.3f} to {max(macro):.3f}; unknown {np.mean(unknown):.3f}; "
        f"of a class that nobody marked told as unknown {np.mean(found):.3f}"
    )
    for low, high in ((0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.01)):
        inside = [hit for certainty, hit in certain if low <= certainty < high]
        if inside:
            print(
                f"certainty {low:.2f} to {min(high, 1):.2f}: {len(inside)} named, {np.mean(inside):.3f} right"
            )
    print(f"{'':10}" + "".join(f"{one:>10}" for one in (*labels, UNKNOWN)))
    for one in labels:
        shares = (confusion[one, other] / (seeds * counts[one]) for other in (*labels, UNKNOWN))
        print(f"{one:10}" + "".join(f"{share:10.2f}" for share in shares) + f"   of {counts[one]}")


def _new(
    seen: Sequence[Seen], tested: Sequence[Sample], stacked: np.ndarray, bundle: Bundle, seed: int, one: str
) -> float:
    told: list[Named] = name(_set(drawn(seen, seed, without=one), bundle), stacked)
    own = [named.label == UNKNOWN for named, each in zip(told, tested, strict=True) if each.label == one]
    return float(np.mean(own))


def _set(marks: Sequence[Sample], bundle: Bundle) -> LabelSet:
    return learn(marks, recipe="default", bundle=bundle.manifest.name, bundle_sha256=bundle.sha256).labels


def cost(bundle: Bundle) -> str:
    """By turns: judging a part that fails, its labels, and what asking for labels costs one that passes."""
    engine, clock = open_engine(bundle, settings.Engine()), SystemClock()
    tiles = bundle.golden()[0]
    vectors_of = np.random.default_rng(0).normal(size=(LEAST, 2 * open_features(bundle).coarsest))
    marks = [Sample(label="one", source="", vector=one.astype(np.float32)) for one in vectors_of]
    times: defaultdict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        shelf, labels = Shelf(Path(folder)), _set(marks, bundle)
        shelf.put(labels)
        wanted = settings.Settings.model_validate({"labels": {"set": labels.sha256, "within_ms": 10_000}})
        recipe = make_recipe(wanted, bundle, engine)
        there = {bundle.sha256: OpenedBundle(bundle=bundle, engine=Switch(), serving=Serving([], Switch()))}
        namer = Namer(shelf, held=lambda: nullcontext(there), recipes=lambda: [recipe], clock=clock)
        stop = threading.Event()
        thread = threading.Thread(target=namer.run, args=(stop,))
        thread.start()
        try:
            for turn in range(-3, TURNS):
                frame = Frame(
                    camera="top",
                    frame_id=0,
                    image=tiles[turn % len(tiles)],
                    captured_ns=0,
                    captured_at=clock.utc_now(),
                )
                began = time.perf_counter()
                judged = _judged(frame, recipe, engine, clock)
                between = time.perf_counter()
                failed = replace(
                    judged,
                    judgement=replace(judged.judgement, verdict="fail", defects=judged.judgement.defects[:1]),
                )
                named = namer.name(failed)
                ended = time.perf_counter()
                namer.name(replace(judged, judgement=replace(judged.judgement, verdict="pass")))
                passed = time.perf_counter()
                if turn >= 0 and all(one.label for one in named.judgement.defects):
                    times["judging"].append(1e3 * (between - began))
                    times["labels of one defect"].append(1e3 * (ended - between))
                    times["of a part that passes"].append(1e3 * (passed - ended))
        finally:
            stop.set()
            thread.join()
    engine.close()
    words = (
        f"{what} p50 {np.percentile(one, 50):.3g}, p99 {np.percentile(one, 99):.3g} ms"
        for what, one in times.items()
    )
    return f"\none tile of {tiles.shape[1]} px, {TURNS} turns: {'; '.join(words)}"


def _judged(frame: Frame, recipe: Recipe, engine: Engine, clock: SystemClock) -> Judged:
    prepared = prepare(frame, recipe.input, clock)
    inspection = infer(prepared, engine, clock, restored=False)
    rules = replace(recipe.rules_of("top"), threshold=1e-6)  # golden tiles are not of a line: all fail
    return Judged(
        frame=frame,
        recipe=recipe,
        taken_ns=0,
        prepared=prepared,
        inspection=inspection,
        judgement=judge(frame, inspection, rules),
        judged_ns=0,
    )


if __name__ == "__main__":
    main()
