"""What it costs the line when another recipe takes over many times a second.

    python -m tests.benchmarks.bench_swap [--seconds 5] [--rounds 6] [--swaps-per-s 50]

The sample bundle and one like it, each with an engine of its own; frames of one tile at half of the rate
that the line reaches. Rounds with and without swaps come by turns; milliseconds are from capture to the
hand-over to the outbox, ratios are medians over the rounds.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import structlog

from agent.bundle.bundle import open_bundle, write_bundle
from agent.clock import SystemClock, new_uuid7
from agent.contract.topics import Topics
from agent.demo.bench import machine, percentiles
from agent.engines.choice import look_around
from agent.line.capture import Capture
from agent.line.line import Line
from agent.line.opened import OpenedBundles
from agent.line.publish import Publisher
from agent.line.recipe import Recipe, make_recipe
from agent.line.record import Origin
from agent.messages import Frame, Pixels
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from agent.settings import settings
from agent.status.board import Board
from agent.status.tally import Tally
from tests.brokers import DEADLINE_S

SAMPLE = Path(__file__).parents[2] / "models" / "bundles" / "elpv"
WARM_UP = 20


class Station:
    """One line on a real outbox, fed by hand."""

    def __init__(self, outbox: Outbox, recipe: Recipe) -> None:
        self.clock = SystemClock()
        self.capture = Capture("accountable", ring_frames=64)
        publisher = Publisher(
            outbox=outbox,
            topics=Topics(site="site", area="area", line="line", station="bench"),
            origin=Origin(station="bench", boot_id="bench", simulated=frozenset({"top"})),
            clock=self.clock,
            clock_synced=lambda: None,
            new_id=lambda: new_uuid7(self.clock),
            first_sequence=1,
            listeners=[Tally(["top"]), Board(station="bench", version="0", clock=self.clock)],
        )
        self.line = Line(
            camera="top",
            capture=self.capture,
            recipe=recipe,
            publisher=publisher,
            clock=self.clock,
            restored=False,
        )
        self.frames = 0

    def judge(self, image: Pixels, part_id: str | None = None) -> float:
        """Milliseconds from capture to the hand-over."""
        frame = Frame(
            camera="top",
            frame_id=self.frames,
            image=image,
            captured_ns=self.clock.monotonic_ns(),
            captured_at=self.clock.utc_now(),
            part_id=part_id,
        )
        self.frames += 1
        self.capture.put(frame)
        verdict = self.line.step()
        assert verdict is not None and verdict.score is not None
        return verdict.timing_ms.capture_to_recorded

    def paced(self, images: Sequence[Pixels], rate_hz: float, seconds: float) -> list[float]:
        found, started = [], time.monotonic()
        for number in range(round(seconds * rate_hz)):
            time.sleep(max(0.0, started + number / rate_hz - time.monotonic()))
            found.append(self.judge(images[number % len(images)]))
        return found


def another(folder: Path) -> Path:
    """The sample bundle with another threshold, which makes it another bundle."""
    sample = open_bundle(SAMPLE)
    threshold = sample.manifest.threshold.model_copy(update={"raw": sample.manifest.threshold.raw * 1.1})
    manifest = sample.manifest.model_copy(update={"name": "another", "threshold": threshold})
    files = {name: data for name, data in sample.files.items() if name in manifest.files}
    write_bundle(folder / "another", manifest, files, None)
    return folder / "another"


@contextmanager
def swapping(line: Line, recipes: Sequence[Recipe], per_s: float) -> Iterator[None]:
    """Another recipe so often; the first is in force again at the end."""
    stop = threading.Event()

    def swap() -> None:
        for recipe in itertools.cycle(recipes):
            line.take_over(recipe)
            if stop.wait(1 / per_s):
                return

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        yield
    finally:
        stop.set()
        swapper.join(DEADLINE_S)
        line.take_over(recipes[0])


def main() -> None:
    arguments = _arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    where = machine()
    print(f"{where['cpu']}, {where['cores']} cores, Python {where['python']}")
    with tempfile.TemporaryDirectory(prefix="bench-swap-") as folder:
        wanted = settings.Settings(
            bundle=SAMPLE,
            outbox=settings.Outbox(path=Path(folder) / "outbox.sqlite3", min_free_bytes=0),
        )
        bundles = OpenedBundles(
            trust=wanted.trust,
            engine=wanted.engine,
            cache=wanted.engine_cache(),
            machine=look_around(),
            named=tuple,
        )
        opened = [bundles.open(path) for path in (SAMPLE, another(Path(folder)))]
        recipes = [make_recipe(wanted, one.bundle, one.engine) for one in opened]
        outbox = Outbox(Database(wanted.outbox.path, clock=SystemClock()))
        outbox.open()
        try:
            _measure(Station(outbox, recipes[0]), recipes, arguments)
        finally:
            outbox.close()
            bundles.close()


def _measure(station: Station, recipes: Sequence[Recipe], arguments: argparse.Namespace) -> None:
    side = round(recipes[0].input.tile_px / recipes[0].input.scale)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (side, side, recipes[0].input.channels), np.uint8) for _ in range(8)]
    for recipe in (recipes[1], recipes[0]):
        station.line.take_over(recipe)
        warm = [station.judge(image) for image in itertools.islice(itertools.cycle(images), WARM_UP)]
    rate_hz = 500 / statistics.median(warm)
    steady: list[list[float]] = []
    swapped: list[list[float]] = []
    for _ in range(arguments.rounds):
        steady.append(station.paced(images, rate_hz, arguments.seconds))
        with swapping(station.line, recipes, arguments.swaps_per_s):
            swapped.append(station.paced(images, rate_hz, arguments.seconds))
    print(f"{rate_hz:.0f} frames/s, {arguments.swaps_per_s:g} swaps/s, {arguments.rounds} rounds by turns")
    for name, rounds in (("steady", steady), ("swapping", swapped)):
        figures = percentiles(list(itertools.chain(*rounds)))
        print(f"{name:<9} p50 {figures['p50']:.2f} ms  p99 {figures['p99']:.2f} ms")
    for share in (50, 99):
        ratios = [
            np.percentile(with_swaps, share) / np.percentile(without, share)
            for with_swaps, without in zip(swapped, steady, strict=True)
        ]
        print(f"p{share} with swaps over without: {statistics.median(ratios):.3f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--swaps-per-s", type=float, default=50.0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
