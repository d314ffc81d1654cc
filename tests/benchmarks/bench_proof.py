"""What the proof of a bundle costs the line: capture to durable record with and without one, by turns.

`python -m tests.benchmarks.bench_proof [ROUNDS]` feeds the real line of an agent with solar cells of 300 px,
at a pace that keeps its engine half busy and at one that keeps it nearly always busy, for about five
minutes. Candidates are proven one after the other, by the process that a rollout starts: each is new, so
its engine is built, takes its golden tiles, and judges 40 stored frames beside the bundle that serves. Every
two seconds the kind of turn changes: the process stands still, it gives way as a rollout has it do, or its
low priority is all. So all kinds see the same machine, whatever else it does meanwhile.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

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
from agent.remote.proof.apart import Ended
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
ROUNDS, SECONDS = 24, 2.0
STORED = 40
QUARTERS = 4
WARMS_UP = 3  # frames of a turn, which are still of the one before
HALF_BUSY, NEARLY_BUSY = 0.5, 0.9  # of the frames that the line judges in a second
Kind: TypeAlias = Literal["stands still", "gives way", "low priority alone"]
KINDS: tuple[Kind, ...] = ("stands still", "gives way", "low priority alone")
STAGES = ("captured to judged", "judged to durable", "captured to durable")


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds of one frame."""

    judged: float
    durable: float  # from its capture, too

    def stages(self) -> tuple[float, float, float]:
        return self.judged, self.durable - self.judged, self.durable


class Turns(RightOfWay):
    """The way of the line, with a proof that is held up in turns; time goes on where it gives way."""

    def __init__(self) -> None:
        super().__init__(self._time_s)
        self._kind: Kind = "gives way"
        self._process: int | None = None
        self._gone_s, self._turned_s = 0.0, time.monotonic()

    def turn(self, kind: Kind) -> None:
        self._gone_s = self._time_s()
        self._kind, self._turned_s = kind, time.monotonic()
        self._hold()

    @contextmanager
    def judging(self) -> Iterator[None]:
        if self._kind != "gives way":
            yield
            return
        with super().judging():
            yield

    @contextmanager
    def gives_way(self, process: int) -> Iterator[None]:
        with super().gives_way(process):
            self._process = process
            self._hold()
            try:
                yield
            finally:
                self._process = None

    def _hold(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process, signal.SIGSTOP if self._kind == "stands still" else signal.SIGCONT)

    def _time_s(self) -> float:
        went_on = self._kind == "gives way"
        return self._gone_s + (time.monotonic() - self._turned_s if went_on else 0.0)


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
        self.proofs = 0
        self.way = self.app.parts.lines["bench"].way = Turns()

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

    def turn(self, images: Sequence[Pixels], rate_hz: float) -> list[Took]:
        """Of each frame that came when the turn had begun well."""
        found: list[Took] = []
        started = time.monotonic()
        for number in range(round(rate_hz * SECONDS)):
            time.sleep(max(0.0, started + number / rate_hz - time.monotonic()))
            self._feed(images[number % len(images)], found)
        self.app.parts.uplink.outbox.append([]).result()
        return found[WARMS_UP:]

    def capacity_hz(self, images: Sequence[Pixels]) -> float:
        """Frames in a second, one after the other."""
        started, found = time.monotonic(), list[Took]()
        for image in itertools.islice(itertools.cycle(images), 60):
            self._feed(image, found)
        return 60 / (time.monotonic() - started)

    @contextmanager
    def proving(self) -> Iterator[None]:
        """One proof after the other, as long as the block takes."""
        over = threading.Event()
        failures: list[BaseException] = []
        prover = Prover(wanted=self.wanted, way=self.way)

        def prove() -> None:
            try:
                while not over.is_set():
                    found = prover.prove(self.candidate(), self.wanted.bundle, cancelled=over.is_set)
                    assert found.frames.judged == STORED, json.dumps(found.model_dump(mode="json"))
                    self.proofs += 1
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

    def _feed(self, image: Pixels, found: list[Took]) -> None:
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
        judged_ms = (clock.monotonic_ns() - captured_ns) / 1e6
        note = lambda: found.append(Took(judged_ms, (clock.monotonic_ns() - captured_ns) / 1e6))  # noqa: E731
        self.app.parts.uplink.outbox.append([], note)  # committed with the record before it


def main() -> None:
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"{processor()}, {rounds} turns of {SECONDS:g} s of each kind at each pace; milliseconds")
    images = [read_image(cell.image) for cell in load_cells()[::60]]
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-proof-") as place:
        station = Station(Path(place))
        station.keep(images)
        try:
            station.capacity_hz(images)
            capacity_hz = station.capacity_hz(images)
            for share in (HALF_BUSY, NEARLY_BUSY):
                compare(station, images, share * capacity_hz, rounds)
        finally:
            station.close()


def compare(station: Station, images: Sequence[Pixels], rate_hz: float, rounds: int) -> None:
    by_kind: dict[Kind, list[list[Took]]] = {kind: [] for kind in KINDS}
    had = station.proofs
    with station.proving():
        for number in range(rounds):
            for kind in KINDS if number % 2 else reversed(KINDS):
                station.way.turn(kind)
                by_kind[kind].append(station.turn(images, rate_hz))
        station.way.turn("low priority alone")
    print(f"{rate_hz:.0f} frames a second, {station.proofs - had} proofs")
    print(
        f"{'':<22}{'':<22}{'p50':>8}{'p99':>8}{'p50 ratio':>11}{'p99 ratio':>11}   p99 ratio of each quarter"
    )
    for number, stage in enumerate(STAGES):
        found = {kind: [_of(number, turn) for turn in by_kind[kind]] for kind in KINDS}
        for kind in KINDS:
            _tell(stage, kind, found[kind], found[KINDS[0]])


def _of(stage: int, turn: Sequence[Took]) -> list[float]:
    return [one.stages()[stage] for one in turn]


def _tell(stage: str, kind: Kind, mine: Sequence[Sequence[float]], base: Sequence[Sequence[float]]) -> None:
    def percentile(turns: Sequence[Sequence[float]], share: float) -> float:
        return float(np.percentile(list(itertools.chain(*turns)), share))

    size = max(1, len(mine) // QUARTERS)
    quarters = [slice(begin, begin + size) for begin in range(0, size * QUARTERS, size) if mine[begin:]]
    each = [percentile(mine[one], 99) / percentile(base[one], 99) for one in quarters]
    p50, p99 = percentile(mine, 50), percentile(mine, 99)
    ratios = f"{p50 / percentile(base, 50):>11.3f}{p99 / percentile(base, 99):>11.3f}"
    quarterly = " ".join(f"{one:.2f}" for one in each)
    print(f"{stage:<22}{kind:<22}{p50:>8.2f}{p99:>8.2f}{ratios}   {quarterly}", flush=True)


if __name__ == "__main__":
    main()
