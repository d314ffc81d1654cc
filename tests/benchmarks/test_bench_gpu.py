"""What the GPU bench says without a GPU: a line's arithmetic by hand, and its table from a CPU's runs."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from rich.console import Console

from agent.bundle.bundle import open_bundle
from agent.engines.open import open_engine
from agent.settings import settings
from tests.benchmarks.bench_gpu import SAMPLE, Ceilings, flop_per_tile, line_words, table, time_one
from tests.benchmarks.line_arithmetic import engines_needed, line_load


def test_8192_px_at_50_khz_with_plain_tiles_of_256_px_is_6250_tiles_a_second() -> None:
    load = line_load(width_px=8192, line_rate_hz=50_000, tile_px=256, overlap_px=0, scale=1.0, channels=1)
    assert load.tiles_across == 32
    assert load.tiles_per_s == pytest.approx(6250)
    assert load.upload_mb_per_s == pytest.approx(409.6)
    assert [engines_needed(load, speed) for speed in (6250.0, 6249.0, 60.0)] == [1, 2, 105]


def test_overlap_and_scale_change_the_load_as_they_should() -> None:
    plain = {"width_px": 8192, "line_rate_hz": 50_000, "tile_px": 256, "channels": 1}
    overlapped = line_load(**plain, overlap_px=32, scale=1.0)
    assert overlapped.tiles_across == 37  # (8192 - 32) / 224 = 36.4
    assert overlapped.tiles_per_s == pytest.approx(37 * 50_000 / 224)
    halved = line_load(**plain, overlap_px=0, scale=0.5)
    assert halved.tiles_per_s == pytest.approx(6250 / 4)
    assert line_load(**plain | {"width_px": 100}, overlap_px=32, scale=1.0).tiles_across == 1


@pytest.mark.slow
def test_a_row_is_measured_and_shown_with_its_share_of_the_ceilings() -> None:
    bundle = open_bundle(SAMPLE)
    engine = open_engine(bundle, settings.Engine(kind="openvino", precision="f32", threads=1))
    top = Ceilings(f32_tflops=0.1, bf16_tflops=1.0, upload_gb_per_s=1.0, download_gb_per_s=1.0)
    flop = flop_per_tile(bundle)
    assert 1e8 < flop < 1e11
    row = time_one(
        "a CPU f32", lambda tiles: engine.run(tiles).scores, bundle, 2, seconds=0.1, top=top, flop=flop
    )
    assert row.difference <= bundle.manifest.golden.tolerance_f32
    assert row.tiles_per_s == pytest.approx(2000 / row.p50_ms)
    assert row.matmul_share == pytest.approx(row.tiles_per_s * flop / 1e11)
    assert row.copy_share == pytest.approx(row.tiles_per_s * 65536 / 1e9)
    console = Console(width=200)
    with console.capture() as shown:
        console.print(table([row]))
    assert "a CPU f32" in shown.get()
    assert line_words(bundle, [row]).startswith("8192 px at 50 kHz: ")


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="this torch has a GPU")
def test_without_a_gpu_the_bench_says_that_nothing_was_measured() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.bench_gpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "finds no CUDA GPU; nothing was measured" in done.stderr
