"""Every GPU engine of this machine: parity, tiles/s, latency, share of the measured ceilings, memory, power.

    python -m tests.benchmarks.bench_gpu [--seconds 5] [--bundle DIR]

Needs torch with CUDA; TensorRT and Torch-TensorRT are measured where they are installed. Ceilings are
measured on this GPU: a large matrix product in the engine's own precision, pinned copies up and down.
The device's engines take whole frames: their rows are frames of 1, 4 and 32 tiles, uploads and copies back
included. The plain rows are one batch in one call of the module, without overlap. Written for a GPU and not
run on one so far.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from agent.bundle.bundle import Bundle, open_bundle
from agent.demo.bench import percentiles
from agent.engines.cache import EngineCache
from agent.engines.choice import lacks, look_around
from agent.engines.eager import read_graph
from agent.engines.engine import Engine, EngineError, largest_difference
from agent.engines.gpu.ring import one_by_one
from agent.engines.gpu.torch_cuda import Autocast, open_eager_cuda
from agent.engines.open import open_runtime
from agent.engines.table import RUNTIMES
from agent.messages import Floats, Pixels
from agent.settings import settings
from tests.benchmarks.line_arithmetic import engines_needed, line_load

SAMPLE = Path(__file__).parents[2] / "models" / "bundles" / "elpv"
FRAMES = (1, 4, 32)
MATRIX = 8192
COPY_BYTES = 256 << 20
Judge = Callable[[Pixels], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One engine on frames of one size."""

    name: str
    tiles: int
    difference: float
    tiles_per_s: float
    p50_ms: float
    p99_ms: float
    matmul_share: float
    copy_share: float
    memory_mb: float
    power_w: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """What this GPU gives at best."""

    f32_tflops: float
    bf16_tflops: float
    upload_gb_per_s: float
    download_gb_per_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--bundle", type=Path, default=SAMPLE)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("bench_gpu: torch finds no CUDA GPU; nothing was measured")
    bundle = open_bundle(arguments.bundle)
    console = Console()
    top = ceilings()
    console.print(
        f"{torch.cuda.get_device_name()}: matmul f32 {top.f32_tflops:.1f}, bf16 {top.bf16_tflops:.1f} "
        f"TFLOP/s; copies {top.upload_gb_per_s:.1f} up, {top.download_gb_per_s:.1f} down GB/s",
        highlight=False,
    )
    rows = measure(bundle, arguments.seconds, top, console)
    console.print(table(rows))
    console.print(line_words(bundle, rows), highlight=False, soft_wrap=True)


def measure(bundle: Bundle, seconds: float, top: Ceilings, console: Console) -> list[Row]:
    """Rows of every engine that opens; the others are named with their reason."""
    rows: list[Row] = []
    flop = flop_per_tile(bundle)
    for name, judge in plain_ways(bundle):
        for tiles in (1, 4):
            rows.append(time_one(name, judge, bundle, tiles, seconds, top, flop))
    with tempfile.TemporaryDirectory() as folder:
        for name, opener in device_ways(bundle, EngineCache(Path(folder), 4 << 30)):
            try:
                engine = opener()
            except EngineError as error:
                console.print(f"{name}: {error}", highlight=False)
                continue

            def judge(tiles: Pixels, engine: Engine = engine) -> Floats:
                return engine.run(tiles, restored=False).scores

            for count in FRAMES:
                rows.append(time_one(name, judge, bundle, count, seconds, top, flop))
            engine.close()
    return rows


def plain_ways(bundle: Bundle) -> list[tuple[str, Judge]]:
    """Torch without ring and graph: the twin, in bf16, and compiled."""
    graph = read_graph(bundle).cuda().eval()
    modules: dict[str, nn.Module] = {"eager f32": graph, "eager bf16": Autocast(graph)}
    compiled = torch.compile(Autocast(read_graph(bundle).cuda().eval()), mode="max-autotune-no-cudagraphs")
    modules["torch.compile bf16"] = compiled
    return [(name, on_gpu(module)) for name, module in modules.items()]


def on_gpu(module: nn.Module) -> Judge:
    def judge(tiles: Pixels) -> Floats:
        with torch.inference_mode():
            score, map_, _ = module(torch.from_numpy(tiles).cuda())
            map_.cpu()
            found: Floats = score.cpu().numpy()
        return found

    return judge


def device_ways(bundle: Bundle, cache: EngineCache) -> list[tuple[str, Callable[[], Engine]]]:
    """The engines as the device runs them, and the ring's plain loop beside it."""
    machine, wanted = look_around(), settings.Engine()
    ways: list[tuple[str, Callable[[], Engine]]] = [
        ("CUDA graphs f32", lambda: open_eager_cuda(bundle, precision="f32")),
        ("CUDA graphs bf16", lambda: open_eager_cuda(bundle, precision="bf16")),
        ("CUDA graphs bf16, one by one", lambda: open_eager_cuda(bundle, precision="bf16", loop=one_by_one)),
    ]
    for kind in RUNTIMES[:2]:
        if lacks(machine, wanted, kind) is None:
            ways.append((kind.name, lambda kind=kind: open_runtime(kind, bundle, wanted, cache, machine.gpu)))
    return ways


def time_one(
    name: str, judge: Judge, bundle: Bundle, tiles: int, seconds: float, top: Ceilings, flop: float
) -> Row:
    """Latency and rate of frames of `tiles` tiles, after warming up; parity on the golden tiles."""
    golden, expected = bundle.golden()
    size = min(tiles, len(golden))
    found = np.concatenate([judge(golden[at : at + size]) for at in range(0, len(golden) - size + 1, size)])
    difference = largest_difference(found, expected[: len(found)], bundle.manifest.threshold.raw)
    frame = np.resize(golden, (tiles, *golden.shape[1:]))
    for _ in range(10):
        judge(frame)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    times: list[float] = []
    started = time.perf_counter()
    watts: float | None = None
    while time.perf_counter() - started < seconds or len(times) < 20:
        begun = time.perf_counter()
        judge(frame)
        times.append((time.perf_counter() - begun) * 1e3)
        if watts is None and time.perf_counter() - started > seconds / 2:
            watts = power_w()
    spread = percentiles(times)
    per_s = 1000 * tiles / spread["p50"]
    peak = top.bf16_tflops if "bf16" in name else top.f32_tflops
    return Row(
        name=name,
        tiles=tiles,
        difference=difference,
        tiles_per_s=per_s,
        p50_ms=spread["p50"],
        p99_ms=spread["p99"],
        matmul_share=per_s * flop / (peak * 1e12),
        copy_share=per_s * golden[0].nbytes / (top.upload_gb_per_s * 1e9),
        memory_mb=torch.cuda.max_memory_reserved() / 1e6,
        power_w=watts,
    )


def ceilings() -> Ceilings:
    torch.backends.cuda.matmul.allow_tf32 = False
    host = torch.empty(COPY_BYTES, dtype=torch.uint8, pin_memory=True)
    device = torch.empty(COPY_BYTES, dtype=torch.uint8, device="cuda")
    return Ceilings(
        f32_tflops=matmul_tflops(torch.float32),
        bf16_tflops=matmul_tflops(torch.bfloat16),
        upload_gb_per_s=COPY_BYTES / 1e9 / fastest_s(lambda: device.copy_(host, non_blocking=True)),
        download_gb_per_s=COPY_BYTES / 1e9 / fastest_s(lambda: host.copy_(device, non_blocking=True)),
    )


def matmul_tflops(dtype: torch.dtype) -> float:
    left = torch.randn(MATRIX, MATRIX, dtype=dtype, device="cuda")
    return 2 * MATRIX**3 / 1e12 / fastest_s(lambda: left @ left)


def fastest_s(work: Callable[[], object], repeats: int = 20) -> float:
    """The best of several runs, by events on the device."""
    begins, ends = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    found = []
    for _ in range(repeats):
        begins.record()
        work()
        ends.record()
        ends.synchronize()
        found.append(begins.elapsed_time(ends) / 1e3)
    return min(found)


def flop_per_tile(bundle: Bundle) -> float:
    """Of the convolutions of one tile, counted by hooks on the CPU: two for each multiply-add."""
    from torch.utils.flop_counter import FlopCounterMode

    tiles, _ = bundle.golden()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        read_graph(bundle)(torch.from_numpy(tiles[:1]))
    return float(counter.get_total_flops())


def power_w() -> float | None:
    """What nvidia-smi reads now; None where there is none, or no sensor."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=power.draw", "--format=csv,noheader,nounits", "--id=0"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    try:
        return float(found.stdout)
    except ValueError:
        return None


def table(rows: list[Row]) -> Table:
    made = Table(
        *("engine", "tiles", "golden difference", "tiles/s", "p50 ms", "p99 ms"),
        *("% matmul", "% copy", "MB", "W", "W s/1000 tiles"),
    )
    for row in rows:
        made.add_row(
            row.name,
            str(row.tiles),
            f"{row.difference:.1e}",
            f"{row.tiles_per_s:.0f}",
            f"{row.p50_ms:.2f}",
            f"{row.p99_ms:.2f}",
            f"{100 * row.matmul_share:.1f}",
            f"{100 * row.copy_share:.1f}",
            f"{row.memory_mb:.0f}",
            "-" if row.power_w is None else f"{row.power_w:.0f}",
            "-" if row.power_w is None else f"{1000 * row.power_w / row.tiles_per_s:.1f}",
        )
    return made


def line_words(bundle: Bundle, rows: list[Row]) -> str:
    """What the fastest row means for a line of 8192 px at 50 kHz."""
    best = max(rows, key=lambda row: row.tiles_per_s)
    spec = bundle.manifest.input
    load = line_load(
        width_px=8192,
        line_rate_hz=50_000,
        tile_px=spec.tile_px,
        overlap_px=spec.overlap_px,
        scale=spec.scale,
        channels=spec.channels,
    )
    count = engines_needed(load, best.tiles_per_s)
    return (
        f"8192 px at 50 kHz: {load.tiles_across} tiles across, {load.tiles_per_s:.0f} tiles/s, "
        f"{load.upload_mb_per_s:.0f} MB/s up; {best.name} gives {best.tiles_per_s:.0f} tiles/s: "
        f"{count} such GPU{'s' if count > 1 else ''}"
    )


if __name__ == "__main__":
    main()
