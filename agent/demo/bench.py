"""`plumbline bench`: the real line on this machine, stage by stage, and the engine on its own.

Frames are made up or, where `elpv-dataset` is installed, held-back solar cells. Records go to a real
outbox on the temporary folder's disk; no broker takes part.
"""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from agent.app import App, build
from agent.bundle.bundle import open_bundle
from agent.cameras.images import read_image
from agent.clock import Clock
from agent.crew import Crew
from agent.demo.cells import SampleError, load_cells
from agent.engines.choice import lacks, look_around
from agent.engines.engine import BATCHES, Engine
from agent.engines.open import open_engine
from agent.engines.table import RUNTIMES
from agent.messages import Frame, Pixels
from agent.settings import camera as camera_settings
from agent.settings import settings

PACED_SHARE = 0.5  # of the measured maximum rate, for the latency that a line sees
FRAMES = 64


def measure(bundle_path: Path, seconds: float, clock: Clock) -> dict[str, Any]:
    """Everything the command prints, as plain values; milliseconds and tiles per second."""
    bundle = open_bundle(bundle_path)
    spec = bundle.manifest.input
    with tempfile.TemporaryDirectory(prefix="plumbline-bench-") as folder:
        app = _build(bundle_path, Path(folder), clock)
        try:
            frames = _frames(round(spec.tile_px / spec.scale), spec.channels)
            fastest = _run(app, frames, seconds, clock, rate_hz=None)
            paced = _run(app, frames, seconds, clock, rate_hz=fastest["frames_per_s"] * PACED_SHARE)
        finally:
            app.parts.uplink.keeper.close()
            app.parts.uplink.outbox.close()
            app.parts.recipes.bundles.close()
    found: dict[str, Any] = {"machine": machine(), "line_at_full_speed": fastest, "line_at_half_speed": paced}
    found["engines"] = [
        _engine_figures(open_engine(bundle, wanted), spec.tile_px, spec.channels, seconds / 4, clock)
        for wanted in _engines()
    ]
    return found


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next(
        (
            text.partition(":")[2].strip()
            for text in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in text
        ),
        platform.processor(),
    )
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version()}


def percentiles(values_ms: list[float]) -> dict[str, float]:
    """p50, p95, p99 and max in milliseconds."""
    array = np.asarray(values_ms)
    found = {f"p{share}": float(np.percentile(array, share)) for share in (50, 95, 99)}
    return {key: round(value, 2) for key, value in {**found, "max": float(array.max())}.items()}


def show(figures: dict[str, Any], console: Console) -> None:
    """The figures as tables."""
    where = figures["machine"]
    console.print(f"{where['cpu']}, {where['cores']} cores, Python {where['python']}", highlight=False)
    for key in ("line_at_full_speed", "line_at_half_speed"):
        run = figures[key]
        table = Table(
            "stage, ms", "p50", "p95", "p99", "max", title=f"{key}: {run['tiles_per_s']:.1f} tiles/s"
        )
        for stage, values in run["stages_ms"].items():
            table.add_row(stage, *(f"{values[name]:.2f}" for name in ("p50", "p95", "p99", "max")))
        console.print(table)
    eager = {
        batch["batch"]: batch["ms"]["p50"]
        for engine in figures["engines"]
        if engine["name"].startswith("eager")
        for batch in engine["batches"]
    }
    table = Table("engine", "batch", "ms per call p50", "p99", "tiles/s", "times eager")
    for engine in figures["engines"]:
        for batch in engine["batches"]:
            ms, size = batch["ms"], batch["batch"]
            times = f"{eager[size] / ms['p50']:.1f}" if size in eager else "-"
            values = (f"{ms['p50']:.2f}", f"{ms['p99']:.2f}", f"{batch['tiles_per_s']:.1f}", times)
            table.add_row(engine["name"], str(size), *values)
    console.print(table)


def _run(
    app: App, frames: list[Pixels], seconds: float, clock: Clock, rate_hz: float | None
) -> dict[str, Any]:
    """Feed the line for `seconds`, at a rate or as fast as it takes frames."""
    line, capture = app.parts.lines["bench"], app.parts.captures["bench"]
    started = clock.monotonic_ns()
    timings: list[dict[str, float]] = []
    durable_ms: list[float] = []
    count = 0
    while (clock.monotonic_ns() - started) / 1e9 < seconds:
        if rate_hz is not None:
            clock.sleep(count / rate_hz - (clock.monotonic_ns() - started) / 1e9)
        captured_ns = clock.monotonic_ns()
        capture.put(
            Frame(
                camera="bench",
                frame_id=count,
                image=frames[count % len(frames)],
                captured_ns=captured_ns,
                captured_at=clock.utc_now(),
            )
        )
        verdict = line.step()
        assert verdict is not None

        def note(captured_ns: int = captured_ns) -> None:
            durable_ms.append((clock.monotonic_ns() - captured_ns) / 1e6)

        app.parts.uplink.outbox.append([], note)  # committed with the record before it
        timing = verdict.timing_ms
        timings.append(
            {
                "prepare": (timing.capture_to_prepared or 0) - (timing.queued or 0),
                "infer": timing.infer or 0,
                "judge": timing.judge or 0,
                "capture_to_handed_over": timing.capture_to_recorded,
            }
        )
        count += 1
    elapsed = (clock.monotonic_ns() - started) / 1e9
    app.parts.uplink.outbox.append([]).result()
    stages = {stage: percentiles([one[stage] for one in timings]) for stage in timings[0]}
    return {
        "frames_per_s": round(count / elapsed, 2),
        "tiles_per_s": round(count / elapsed, 2),  # frames of one tile each
        "stages_ms": {**stages, "capture_to_recorded": percentiles(durable_ms)},
    }


def _engines() -> list[settings.Engine]:
    """OpenVINO as it serves and in f32; ONNX Runtime and the eager twin where they are installed."""
    machine = look_around()
    wanted = (
        settings.Engine(kind="openvino"),
        settings.Engine(kind="openvino", precision="f32"),
        settings.Engine(kind="onnxruntime"),
        settings.Engine(kind="eager", device="cpu"),
    )
    there = {kind.kind for kind in RUNTIMES if lacks(machine, settings.Engine(), kind) is None}
    return [one for one in wanted if one.kind in there]


def _engine_figures(
    engine: Engine, tile_px: int, channels: int, seconds: float, clock: Clock
) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    batches = []
    for batch in reversed(BATCHES):
        tiles = rng.integers(0, 256, (batch, tile_px, tile_px, channels), np.uint8)
        times: list[float] = []
        ends = clock.monotonic_ns() + round(seconds * 1e9)
        while clock.monotonic_ns() < ends or len(times) < 5:
            started = clock.monotonic_ns()
            engine.run(tiles)
            times.append((clock.monotonic_ns() - started) / 1e6)
        ms = percentiles(times)
        batches.append({"batch": batch, "ms": ms, "tiles_per_s": round(1000 * batch / ms["p50"], 1)})
    description = engine.describe()
    engine.close()
    return {"name": description.name, "runtime": description.runtime, "batches": batches}


def _build(bundle: Path, folder: Path, clock: Clock) -> App:
    wanted = settings.Settings(
        bundle=bundle,
        cameras=(camera_settings.Camera(name="bench"),),
        outbox=settings.Outbox(path=folder / "outbox.sqlite3", min_free_bytes=0),
        page=settings.Page(enabled=False),
    )
    return build(wanted, clock, Crew(), make=lambda *_: _NoCamera)


class _NoCamera:
    """The bench feeds the ring itself."""

    def open(self) -> None: ...

    def grab(self, timeout_s: float) -> None:
        return None

    def close(self) -> None: ...


def _frames(side_px: int, channels: int) -> list[Pixels]:
    """Frames of one tile each."""
    try:
        cells = [cell for cell in load_cells() if cell.split.startswith("test")][::11]
        pictures = [read_image(cell.image) for cell in cells[:FRAMES]]
        resized = [cv2.resize(picture, (side_px, side_px)) for picture in pictures]
    except SampleError:
        rng = np.random.default_rng(0)
        resized = [rng.integers(0, 256, (side_px, side_px), np.uint8) for _ in range(8)]
    return [np.repeat(np.asarray(picture, np.uint8)[..., None], channels, axis=2) for picture in resized]
