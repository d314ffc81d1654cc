"""The whole way of the TensorRT engine over fakes: build, keep, load, prove, run, and every way to fail.

The fakes keep the promises of `tensorrt` and `cuda.bindings.runtime` that we rely on; no kernel is real.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from agent.bundle.bundle import Bundle, open_bundle
from agent.engines.cache import EngineCache, NotCompiled
from agent.engines.engine import DeviceLost, Engine, EngineError, OutOfMemory
from agent.engines.gpu.device import Gpu
from agent.engines.open import is_compiled, open_runtime
from agent.engines.serving import Candidate, Serving
from agent.engines.switch import Switch
from agent.engines.table import RUNTIMES
from agent.settings import settings
from tests.agent.engines.fake_cuda import FakeCuda
from tests.agent.engines.fake_tensorrt import FakeTensorRt
from tests.agent.engines.small_bundle import scores_of, small_tiles, write_small

TENSORRT, OPENVINO = RUNTIMES[0], RUNTIMES[3]
WANTED = settings.Engine(threads=1)
ORIN = Gpu(name="Orin", capability="8.7", driver="12.6")


@dataclass(slots=True, kw_only=True)
class Box:
    """A device with TensorRT, its cache and a bundle."""

    bundle: Bundle
    cache: EngineCache
    cuda: FakeCuda
    trt: FakeTensorRt

    def open(self, *, may_build: bool = True, say: Callable[[str], None] = lambda line: None) -> Engine:
        return open_runtime(TENSORRT, self.bundle, WANTED, self.cache, ORIN, say, may_build=may_build)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    cuda = FakeCuda()
    trt = FakeTensorRt(cuda, "Orin")
    package, bindings = ModuleType("cuda"), ModuleType("cuda.bindings")
    vars(package)["__path__"] = vars(bindings)["__path__"] = []
    vars(bindings)["runtime"] = cuda
    modules = {"cuda": package, "cuda.bindings": bindings, "cuda.bindings.runtime": cuda, "tensorrt": trt}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)

    return Box(
        bundle=open_bundle(write_small(tmp_path / "small")),
        cache=EngineCache(tmp_path / "engines", 1_000_000),
        cuda=cuda,
        trt=trt,
    )


def test_it_is_built_once_with_progress_and_then_comes_from_the_cache(box: Box) -> None:
    lines: list[str] = []
    assert not is_compiled(TENSORRT, box.bundle, WANTED, box.cache, ORIN)
    with pytest.raises(NotCompiled):
        box.open(may_build=False)
    first = box.open(say=lines.append)
    assert lines == ["batch 4: Timing 50 %", "batch 1: Timing 50 %"]
    assert box.trt.builds == 2
    assert is_compiled(TENSORRT, box.bundle, WANTED, box.cache, ORIN)
    again = box.open(may_build=False)
    assert box.trt.builds == 2
    assert (first.describe().from_cache, again.describe().from_cache) == (False, True)
    assert again.describe().name == "tensorrt-tf32"
    tiles = small_tiles(23)
    for engine in (first, again):
        found = engine.run(tiles)
        assert np.allclose(found.scores, scores_of(tiles), atol=1e-5)
        assert np.array_equal(found.restored, tiles)
        engine.close()
    assert box.cuda.alive == 0


def test_what_was_timed_for_one_bundle_helps_the_next(box: Box, tmp_path: Path) -> None:
    box.open()
    assert box.trt.timings_seen == [b"", b"timings 1"]
    other = open_bundle(write_small(tmp_path / "other", scores=scores_of(small_tiles()) + np.float32(1e-6)))
    open_runtime(TENSORRT, other, WANTED, box.cache, ORIN)
    assert box.trt.timings_seen[2] == b"timings 2"


def test_an_engine_of_another_gpu_is_built_again_here(box: Box) -> None:
    box.open()
    box.trt.gpu = "Thor"  # with a driver that gives the same name
    engine = box.open()
    assert box.trt.builds == 4
    assert not engine.describe().from_cache


@pytest.mark.parametrize("keep", [0, 100, 0.5])
def test_a_truncated_engine_is_built_again(box: Box, keep: float) -> None:
    box.open().close()
    (file,) = [one.path for one in box.cache.entries() if one.engine == "tensorrt"]
    data = file.read_bytes()
    file.write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
    assert not is_compiled(TENSORRT, box.bundle, WANTED, box.cache, ORIN)
    assert not box.open().describe().from_cache


def test_an_engine_that_gives_no_numbers_never_serves_and_is_never_kept(box: Box) -> None:
    box.trt.broken = True
    with pytest.raises(EngineError, match=r"golden scores of .* differ by a share of nan"):
        box.open()
    assert not is_compiled(TENSORRT, box.bundle, WANTED, box.cache, ORIN)
    assert box.cuda.alive == 0


def test_a_build_that_fails_gives_tensorrt_s_own_reason_and_the_remedy(box: Box) -> None:
    box.trt.build_fails = True
    with pytest.raises(
        EngineError, match="Could not find any implementation for node Conv_3; lack of memory"
    ):
        box.open()


def test_too_little_memory_for_a_context_or_a_buffer_leaves_nothing_behind(box: Box) -> None:
    box.trt.no_context = True
    with pytest.raises(OutOfMemory, match="no memory for an execution context"):
        box.open()
    box.trt.no_context = False
    box.cuda.errors["cudaMalloc"] = "cudaErrorMemoryAllocation"
    box.cuda.fail_after["cudaMalloc"] = 9
    with pytest.raises(OutOfMemory, match="cudaMalloc"):
        box.open()
    box.cuda.errors.clear()
    assert box.cuda.alive == 0


def test_a_gpu_that_falls_off_the_bus_under_the_line_hands_over_to_openvino(box: Box) -> None:
    box.open().close()
    switch, stop = Switch(), threading.Event()

    def candidate(kind: object, name: str) -> Candidate:
        return Candidate(
            name=name,
            is_ready=lambda: True,
            open=lambda: open_runtime(kind, box.bundle, WANTED, box.cache, ORIN),  # type: ignore[arg-type]
            compile=lambda say, stop: None,
        )

    room = Serving([candidate(TENSORRT, "tensorrt"), candidate(OPENVINO, "openvino")], switch)
    room.open_first()
    tiles = small_tiles(9)
    assert switch.run(tiles).engine == "tensorrt-tf32"
    thread = threading.Thread(target=room.run, args=(stop,))
    thread.start()
    try:
        for call in ("cudaEventSynchronize", "cudaStreamSynchronize", "cudaMalloc", "cudaFree"):
            box.cuda.errors[call] = "cudaErrorDeviceUnavailable"
        with pytest.raises(DeviceLost, match="cudaEventSynchronize: cudaErrorDeviceUnavailable"):
            switch.run(tiles)
        while not switch.describe().name.startswith("openvino"):
            assert not stop.wait(0.01)
        found = switch.run(tiles)
        assert found.engine.startswith("openvino")
        assert np.allclose(found.scores, scores_of(tiles), atol=0.01)
    finally:
        stop.set()
        thread.join(60)
        switch.close()
    assert "lost its device" in room.words()[0]
