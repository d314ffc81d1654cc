"""What the proof of a bundle costs the line: capture to durable record with and without one, by turns.

`python -m tests.benchmarks.bench_proof [ROUNDS [SECONDS]]` feeds the real line of an agent with solar cells
of 300 x 300 px, at a pace that keeps its engine half busy and at one that keeps it nearly always busy. In
every other turn candidates are proven one after the other, by the process that a rollout starts: each is new,
so that its engine is built, takes its golden tiles, and judges 40 stored frames beside the bundle that
serves. For comparison other turns do the same work with its low priority alone, not standing still while a
frame is judged, and at the line's own priority on all cores.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import structlog

from agent.app import build
from agent.archive import entry, files
from agent.bundle.bundle import MANIFEST, manifest_bytes, open_bundle
from agent.cameras.images import read_image
from agent.clock import SystemClock
from agent.crew import Crew
from agent.demo.cells import load_cells
from agent.line.way import RightOfWay
from agent.messages import Frame, Pixels
from agent.remote.proof.apart import COMMAND, Ended
from agent.remote.proof.prover import Prover
from agent.running import App
from agent.settings import archive as archive_settings
from agent.settings import camera as camera_settings
from agent.settings import remote as remote_settings
from agent.settings import settings
from tests.agent.archive.records import frame, verdict
from tests.benchmarks.bench_archive import NoCamera
from tests.benchmarks.bench_web import processor

BUNDLE = Path("models/bundles/elpv")
ROUNDS, SECONDS = 6, 15.0
STORED = 40
HALF_BUSY, NEARLY_BUSY = 0.5, 0.9  # of the frames that the line judges in a second
# As the proof process, but for what makes it low.
UNLOWERED = (
    sys.executable,
    "-c",
    "import sys; from agent.remote.proof.work import main; main(int(sys.argv[2]))",
)


@dataclass(kw_only=True)
class Side:
    """Turns of one kind: how long frames took, and how many proofs were done meanwhile."""

    name: str
    command: Sequence[str] | None
    gives_way: bool = False
    by_turn_ms: list[list[float]] = field(default_factory=list)
    proofs: int = 0


class Station:
    """An agent whose ring the bench feeds itself."""

    def __init__(self, folder: Path) -> None:
        self.wanted = settings.Settings(
            bundle=BUNDLE.resolve(),
            cameras=(camera_settings.Camera(name="bench"),),
            outbox=settings.Outbox(path=folder / "outbox.sqlite3", min_free_bytes=0),
            archive=archive_settings.Archive(folder=folder / "archive", min_free_bytes=0),
            remote=remote_settings.Remote(proof=remote_settings.Proof(frames=STORED, max_flip_share=1.0)),
            page=settings.Page(enabled=False),
        )
        without = self.wanted.model_copy(update={"archive": archive_settings.Archive()})
        self.app: App = build(without, SystemClock(), Crew(), make=lambda *_: NoCamera)
        self._folder = folder
        self._bundle = open_bundle(BUNDLE)
        self._bundle_files = Path(shutil.copytree(BUNDLE, folder / "bundle"))
        self._frames = 0
        self._candidates = itertools.count(2)

    def keep(self, images: Sequence[Pixels]) -> None:
        """Frames of these pictures in the archive."""
        folder = self._folder / "archive"
        for number, image in enumerate(itertools.islice(itertools.cycle(images), STORED), 1):
            seen = frame(image, camera="bench", lines_lost=0)
            said = verdict(number, of=seen, camera="bench")
            path = files.place(folder, said.result_id, said.created)
            path.parent.mkdir(parents=True, exist_ok=True)
            files.put(path, entry.compose(said, "ef" * 32, seen, None))

    def candidate(self) -> Path:
        """The same model under another digest, so that no cache has its engine; copying it is no proof."""
        counter = next(self._candidates)
        manifest = self._bundle.manifest.model_copy(update={"counter": counter})
        path = self._folder / f"candidate-{counter}"
        for name in manifest.files:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(self._bundle_files / name, path / name)
        (path / MANIFEST).write_bytes(manifest_bytes(manifest))
        return path

    def turn(self, images: Sequence[Pixels], rate_hz: float, seconds: float) -> list[float]:
        """Milliseconds from capture to the durable record, of each frame."""
        found: list[float] = []
        started = time.monotonic()
        for number in range(round(rate_hz * seconds)):
            time.sleep(max(0.0, started + number / rate_hz - time.monotonic()))
            self._feed(images[number % len(images)], found)
        self.app.parts.uplink.outbox.append([]).result()
        return found

    def capacity_hz(self, images: Sequence[Pixels]) -> float:
        """Frames in a second, one after the other."""
        started, found = time.monotonic(), list[float]()
        for image in itertools.islice(itertools.cycle(images), 60):
            self._feed(image, found)
        return 60 / (time.monotonic() - started)

    @contextmanager
    def proving(self, side: Side) -> Iterator[None]:
        """One proof after the other, as long as the block takes."""
        if side.command is None:
            yield
            return
        over = threading.Event()
        failures: list[BaseException] = []
        way = self.app.parts.lines["bench"].way if side.gives_way else RightOfWay()
        prover = Prover(wanted=self.wanted, command=side.command, way=way)

        def prove() -> None:
            try:
                while not over.is_set():
                    found = prover.prove(self.candidate(), self.wanted.bundle, cancelled=over.is_set)
                    assert found.frames.judged == STORED, json.dumps(found.model_dump(mode="json"))
                    side.proofs += 1
            except Ended:
                pass
            except BaseException as error:
                failures.append(error)

        prover_thread = threading.Thread(target=prove)
        prover_thread.start()
        try:
            yield
        finally:
            over.set()
            prover_thread.join()
        if failures:
            raise failures[0]

    def close(self) -> None:
        self.app.parts.uplink.keeper.close()
        self.app.parts.uplink.outbox.close()
        self.app.parts.recipes.bundles.close()

    def _feed(self, image: Pixels, found: list[float]) -> None:
        clock = self.app.clock
        captured_ns = clock.monotonic_ns()
        seen = Frame(
            camera="bench",
            frame_id=self._frames,
            image=image,
            captured_ns=captured_ns,
            captured_at=clock.utc_now(),
        )
        self._frames += 1
        self.app.parts.captures["bench"].put(seen)
        assert self.app.parts.lines["bench"].step() is not None
        note = lambda: found.append((clock.monotonic_ns() - captured_ns) / 1e6)  # noqa: E731
        self.app.parts.uplink.outbox.append([], note)  # committed with the record before it


def main() -> None:
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    print(f"{processor()}, {rounds} turns of {seconds:g} s each way; capture to durable record in ms")
    images = [read_image(cell.image) for cell in load_cells()[::60]]
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-proof-") as place:
        station = Station(Path(place))
        station.keep(images)
        try:
            station.capacity_hz(images)
            capacity_hz = station.capacity_hz(images)
            for share in (HALF_BUSY, NEARLY_BUSY):
                compare(station, images, share * capacity_hz, rounds, seconds)
        finally:
            station.close()


def compare(station: Station, images: Sequence[Pixels], rate_hz: float, rounds: int, seconds: float) -> None:
    sides = [
        Side(name="without", command=None),
        Side(name="with a proof", command=COMMAND, gives_way=True),
        Side(name="of low priority alone", command=COMMAND),
        Side(name="not lowered at all", command=UNLOWERED),
    ]
    for _ in range(rounds):
        for side in sides:
            with station.proving(side):
                side.by_turn_ms.append(station.turn(images, rate_hz, seconds))
    print(f"{rate_hz:.0f} frames a second")
    heads = f"{'p50':>8}{'p99':>8}{'p50 ratio':>11}{'p99 ratio':>11}{'proofs':>8}"
    print(f"{'':<24}{heads}   p99 ratio of each turn")
    base = sides[0]
    for side in sides:
        all_ms = list(itertools.chain(*side.by_turn_ms))
        ratios = {
            share: [
                float(np.percentile(mine, share) / np.percentile(theirs, share))
                for mine, theirs in zip(side.by_turn_ms, base.by_turn_ms, strict=True)
            ]
            for share in (50, 99)
        }
        print(
            f"{side.name:<24}{np.percentile(all_ms, 50):>8.2f}{np.percentile(all_ms, 99):>8.2f}"
            f"{np.median(ratios[50]):>11.3f}{np.median(ratios[99]):>11.3f}{side.proofs:>8}   "
            f"{' '.join(f'{one:.2f}' for one in ratios[99])}",
            flush=True,
        )


if __name__ == "__main__":
    main()
