"""What the archive costs the line: capture to durable record, with and without one, by turns in one run.

`python -m tests.benchmarks.bench_archive [ROUNDS [SECONDS]]` feeds the real line of two agents that differ
in the archive alone. Solar cells of 300 x 300 px on the engine that serves here: 20 rejects a second, alone
and among 40 passes, which keeps the engine busy while the archive writes. Windows of 4096 x 1024 px, 5
rejects a second, on an engine that takes the time of a GPU and leaves the processor alone, since no CPU
engine keeps that pace. Outbox and archive lie on one disk, that of the working folder.
"""

from __future__ import annotations

import itertools
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import structlog

from agent.app import build
from agent.bundle.bundle import open_bundle
from agent.cameras.images import read_image
from agent.clock import SystemClock
from agent.crew import Crew
from agent.demo.cells import load_cells
from agent.engines.engine import Answer, Description
from agent.engines.open import open_engine
from agent.line.prepare import cut_tiles, scaled
from agent.messages import Floats, Frame, Pixels
from agent.running import App
from agent.settings import camera as camera_settings
from agent.settings import settings
from agent.settings.archive import Archive as ArchiveSettings
from tests.benchmarks.bench_archive_codecs import HEIGHT, NOISE_8, WIDTH, noisy
from tests.benchmarks.bench_web import processor

BUNDLE = Path("models/bundles/elpv")
ROUNDS, SECONDS = 6, 10.0
GPU_S = 0.03  # for the tiles of one window
STRIDE_PX = 4
EVERYTHING_FAILS = 1e-6


class GpuLikeEngine:
    """Sleeps while a GPU would compute; its map is how bright a tile is."""

    def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
        time.sleep(GPU_S)
        side = tiles.shape[1] // STRIDE_PX
        maps = np.stack([self._map(tile, side) for tile in tiles])
        return Answer(
            scores=maps.max(axis=(1, 2)),
            maps=maps,
            restored=tiles if restored else None,
            engine="gpu-like-f32",
        )

    def describe(self) -> Description:
        return Description(name="gpu-like-f32", runtime="none", device="none", precision="f32")

    def close(self) -> None: ...

    def _map(self, tile: Pixels, side: int) -> Floats:
        small = cv2.resize(tile[..., 0], (side, side), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32) / np.float32(255)


class NoCamera:
    """The bench feeds the ring itself."""

    def open(self) -> None: ...

    def grab(self, timeout_s: float) -> None:
        return None

    def close(self) -> None: ...


@dataclass(kw_only=True)
class Side:
    """One of the two agents, and how long each of its frames took to be durable."""

    app: App
    durable_ms: list[float] = field(default_factory=list)
    by_turn_ms: list[list[float]] = field(default_factory=list)
    frames: int = 0

    def turn(self, images: Sequence[Pixels], rate_hz: float, seconds: float) -> None:
        found: list[float] = []
        started = time.monotonic()
        count = round(rate_hz * seconds)
        for number in range(count):
            time.sleep(max(0.0, started + number / rate_hz - time.monotonic()))
            self._feed(images[number % len(images)], found)
        self.app.parts.uplink.outbox.append([]).result()
        if self.app.parts.archive is not None:
            self.app.parts.archive.settle(60.0)
        self.by_turn_ms.append(found)
        self.durable_ms += found

    def _feed(self, image: Pixels, found: list[float]) -> None:
        clock = self.app.clock
        captured_ns = clock.monotonic_ns()
        frame = Frame(
            camera="bench",
            frame_id=self.frames,
            image=image,
            captured_ns=captured_ns,
            captured_at=clock.utc_now(),
        )
        self.frames += 1
        self.app.parts.captures["bench"].put(frame)
        verdict = self.app.parts.lines["bench"].step()
        assert verdict is not None and verdict.verdict in ("pass", "fail")
        note = lambda: found.append((clock.monotonic_ns() - captured_ns) / 1e6)  # noqa: E731
        self.app.parts.uplink.outbox.append([], note)  # committed with the record before it


def main() -> None:
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    print(f"{processor()}, {rounds} turns of {seconds:g} s each way; capture to durable record in ms")
    heads = (
        f"{'without p50':>12}{'p99':>8}{'with p50':>10}{'p99':>8}{'p99 ratio':>11}{'kept':>7}{'dropped':>9}"
        f"{'KB each':>10}"
    )
    print(f"{'':<34}{heads}")
    files = [cell.image for cell in load_cells()]
    cells = [read_image(path) for path in files[::60]]
    columns = [np.vstack([read_image(path) for path in files[at : at + 4]]) for at in range(0, 56, 4)]
    web = np.ascontiguousarray(np.hstack(columns)[:HEIGHT, :WIDTH])
    rng = np.random.default_rng(0)
    compare("300 x 300 px, 20 a second", cells, 20.0, rounds, seconds)
    compare("300 x 300 px, 20 of 60 a second", mixed(cells), 60.0, rounds, seconds, threshold=None)
    compare("4096 x 1024 px, 5 a second", [web], 5.0, rounds, seconds, gpu=True)
    noise = np.asarray(noisy(web, NOISE_8, 8, rng), np.uint8)
    compare("the same with noise", [noise], 5.0, rounds, seconds, gpu=True)


def mixed(cells: Sequence[Pixels]) -> list[Pixels]:
    """One that fails after each two that pass, by the bundle's own threshold."""
    bundle = open_bundle(BUNDLE)
    engine, spec = open_engine(bundle, settings.Engine()), bundle.manifest.input
    good: list[Pixels] = []
    bad: list[Pixels] = []
    for cell in cells:
        tiles, _ = cut_tiles(np.asarray(scaled(cell, spec), np.uint8), spec)
        score = float(engine.run(tiles, restored=False).scores.max())
        (bad if score >= bundle.manifest.threshold.raw else good).append(cell)
    engine.close()
    passing = itertools.cycle(good)
    return [one for cell in bad for one in (next(passing), next(passing), cell)]


def compare(
    name: str,
    images: Sequence[Pixels],
    rate_hz: float,
    rounds: int,
    seconds: float,
    *,
    threshold: float | None = EVERYTHING_FAILS,
    gpu: bool = False,
) -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-archive-") as place:
        sides = [Side(app=_build(Path(place), side, threshold, gpu=gpu)) for side in ("without", "with")]
        without, with_ = sides
        archive = with_.app.parts.archive
        assert archive is not None
        archive.start()
        try:
            for side in sides:
                side.turn(images, rate_hz, 1.0)
                side.durable_ms.clear()
                side.by_turn_ms.clear()
            for _ in range(rounds):
                for side in sides:
                    side.turn(images, rate_hz, seconds)
        finally:
            archive.stop()
            for side in sides:
                side.app.parts.uplink.keeper.close()
                side.app.parts.uplink.outbox.close()
                side.app.parts.recipes.bundles.close()
        counts = archive.counts()
        p99 = [float(np.percentile(side.durable_ms, 99)) for side in sides]
        p50 = [float(np.median(side.durable_ms)) for side in sides]
        print(
            f"{name:<34}{p50[0]:>12.2f}{p99[0]:>8.2f}{p50[1]:>10.2f}{p99[1]:>8.2f}{p99[1] / p99[0]:>11.3f}"
            f"{counts.written:>7}{sum(counts.dropped.values()):>9}"
            f"{counts.size_bytes / max(1, counts.entries) / 1e3:>10.1f}"
        )
        pairs = zip(without.by_turn_ms, with_.by_turn_ms, strict=True)
        turns = [float(np.percentile(b, 99) / np.percentile(a, 99)) for a, b in pairs]
        print(f"{'  p99 ratio of each pair of turns':<34}{' '.join(f'{one:.3f}' for one in turns)}")


def _build(place: Path, name: str, threshold: float | None, *, gpu: bool) -> App:
    folder = place / name
    folder.mkdir()
    app = build(
        settings.Settings(
            bundle=BUNDLE,
            cameras=(camera_settings.Camera(name="bench"),),
            judge=settings.Judge(threshold=threshold),
            outbox=settings.Outbox(path=folder / "outbox.sqlite3", min_free_bytes=0),
            archive=ArchiveSettings(folder=folder / "archive" if name == "with" else None, min_free_bytes=0),
            page=settings.Page(enabled=False),
        ),
        SystemClock(),
        Crew(),
        make=lambda *_: NoCamera,
    )
    if gpu:
        app.parts.recipes.opened.engine.serve(GpuLikeEngine())
    return app


if __name__ == "__main__":
    main()
