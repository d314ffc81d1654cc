"""Torch on a GPU as far as a CPU goes: the graph survives export and bf16, and errors have names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agent.bundle.bundle import Bundle, open_bundle
from agent.engines.eager import read_graph
from agent.engines.engine import DeviceLost, EngineUnavailable, OutOfMemory
from agent.engines.gpu.device import Gpu
from agent.engines.gpu.torch_cuda import Autocast, named
from agent.engines.gpu.torch_trt import ByBatch, export_graph
from agent.engines.open import open_runtime
from agent.engines.table import RUNTIMES
from agent.settings import settings

SAMPLE = Path(__file__).parents[4] / "models" / "bundles" / "elpv"
GPU = Gpu(name="H100", capability="9.0", driver="13.0")


@pytest.fixture(scope="module")
def sample() -> Bundle:
    return open_bundle(SAMPLE)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 4])
def test_the_exported_program_gives_the_graph_s_own_results(sample: Bundle, batch: int) -> None:
    tiles = torch.from_numpy(sample.golden()[0][:batch])
    program = export_graph(sample, batch, "cpu")
    found = ByBatch({batch: program.module()})(tiles)
    with torch.no_grad():
        expected = read_graph(sample)(tiles)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_the_graph_reads_no_shape_from_a_tensor(sample: Bundle) -> None:
    """What a CUDA graph cannot capture: on the meta device a value that is asked for raises."""
    graph = read_graph(sample).to("meta")
    score, map_, restored = graph(torch.zeros((4, 256, 256, 1), dtype=torch.uint8, device="meta"))
    assert score.shape == (4,) and map_.shape[0] == 4 and restored.shape == (4, 256, 256, 1)


@pytest.mark.slow
def test_the_graph_in_bf16_gives_the_golden_scores_within_the_manifest_s_tolerance(sample: Bundle) -> None:
    tiles, expected = sample.golden()
    few = [expected.argmin(), expected.argmax()]  # seconds each on a CPU without bf16
    tiles, expected = tiles[few], expected[few]
    with torch.no_grad():
        score, map_, restored = Autocast(read_graph(sample))(torch.from_numpy(tiles))
    assert score.dtype == map_.dtype == torch.float32 and restored.dtype == torch.uint8
    largest = torch.clamp(torch.from_numpy(expected), min=sample.manifest.threshold.raw)
    difference = ((score - torch.from_numpy(expected)).abs() / largest).max().item()
    assert 0 < difference <= sample.manifest.golden.tolerance_bf16


@pytest.mark.parametrize(
    ("error", "name", "words"),
    [
        (
            torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            OutOfMemory,
            "free memory",
        ),
        (RuntimeError("CUDA error: out of memory\nmore"), OutOfMemory, "free memory"),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered\nmore"), DeviceLost, "dmesg"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), DeviceLost, "dmesg"),
        (RuntimeError("shapes do not match"), RuntimeError, "shapes"),
        (ValueError("CUDA in a ValueError"), ValueError, "CUDA"),
    ],
)
def test_what_torch_raises_is_told_apart(error: Exception, name: type[Exception], words: str) -> None:
    found = named(error)
    assert type(found) is name
    assert words in str(found) and "\n" not in str(found)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this torch has a GPU")
@pytest.mark.parametrize("kind", RUNTIMES[1:3], ids=lambda kind: kind.name)
def test_a_torch_without_cuda_beside_a_gpu_is_told_with_the_remedy(sample: Bundle, kind: object) -> None:
    with pytest.raises(EngineUnavailable, match="finds no CUDA GPU; install a torch that is built for CUDA"):
        open_runtime(kind, sample, settings.Engine(), None, GPU)  # type: ignore[arg-type]
