"""TensorRT as far as a machine without a GPU goes: what is missing is named, TensorRT-RTX builds the graph.

TensorRT-RTX has the parser, the strongly typed builder, timing cache and progress monitor of TensorRT 11; it
builds without a GPU, and deserialises only with one. Here it stands in for `tensorrt` where it is installed.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agent.bundle.bundle import open_bundle
from agent.engines.cache import EngineCache
from agent.engines.engine import EngineError, EngineUnavailable
from agent.engines.gpu.cuda_runtime import Cuda
from agent.engines.gpu.device import Gpu
from agent.engines.gpu.tensorrt import build_engines, engine_key, import_tensorrt, load_ring, options_of
from agent.engines.open import open_runtime
from agent.engines.table import RUNTIMES
from agent.settings import settings
from tests.agent.engines.fake_cuda import FakeCuda
from tests.agent.engines.small_bundle import write_small

SAMPLE = Path(__file__).parents[4] / "models" / "bundles" / "elpv"
ORIN = Gpu(name="Orin", capability="8.7", driver="12.6")

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed"
)


def module(name: str, **contents: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(contents)
    return made


@pytest.fixture
def runtime_there(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """cuda-bindings is installed; TensorRT is up to the test."""
    runtime = module("cuda.bindings.runtime")
    monkeypatch.setitem(sys.modules, "cuda", module("cuda", __path__=[]))
    monkeypatch.setitem(sys.modules, "cuda.bindings", module("cuda.bindings", runtime=runtime, __path__=[]))
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", runtime)
    return monkeypatch


def test_a_missing_library_is_told_with_what_to_install(runtime_there: pytest.MonkeyPatch) -> None:
    runtime_there.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineUnavailable, match=r"tensorrt cannot be imported: .*; install JetPack's"):
        import_tensorrt()


@pytest.mark.parametrize("version", ["8.6.1", "10.0.1", "10.2.0.19"])
def test_a_tensorrt_before_jetpack_6_2_s_is_refused(runtime_there: pytest.MonkeyPatch, version: str) -> None:
    runtime_there.setitem(sys.modules, "tensorrt", module("tensorrt", __version__=version))
    with pytest.raises(EngineUnavailable, match=rf"tensorrt {version} is older than 10\.3"):
        import_tensorrt()


@pytest.mark.parametrize("version", ["10.3.0", "10.16.2.10", "11.4.1"])
def test_jetpack_6_2_s_and_later_are_taken(runtime_there: pytest.MonkeyPatch, version: str) -> None:
    runtime_there.setitem(sys.modules, "tensorrt", module("tensorrt", __version__=version))
    assert import_tensorrt()[0].__version__ == version


def test_a_precision_that_the_graph_does_not_have_is_refused(tmp_path: Path) -> None:
    bundle = open_bundle(write_small(tmp_path / "small"))
    with pytest.raises(
        EngineUnavailable, match=r"has no graph in bf16; make it with `plumbline-lab variants`"
    ):
        open_runtime(RUNTIMES[0], bundle, settings.Engine(precision="bf16"), None, ORIN)


def test_another_gpu_driver_version_or_workspace_is_another_engine(tmp_path: Path) -> None:
    bundle = open_bundle(write_small(tmp_path / "small"))
    trt = module("tensorrt", __version__="10.3.0")
    options = options_of("auto", 1 << 30)
    key = engine_key(bundle, trt, ORIN, options)
    others = (
        engine_key(bundle, module("tensorrt", __version__="10.4.0"), ORIN, options),
        engine_key(bundle, trt, Gpu(name="Thor", capability="8.7", driver="12.6"), options),
        engine_key(bundle, trt, Gpu(name="Orin", capability="11.0", driver="12.6"), options),
        engine_key(bundle, trt, Gpu(name="Orin", capability="8.7", driver="13.0"), options),
        engine_key(bundle, trt, ORIN, options_of("f32", 1 << 30)),
        engine_key(bundle, trt, ORIN, options_of("auto", 1 << 29)),
    )
    assert len({one.digest() for one in (key, *others)}) == 7


@needs_rtx
@pytest.mark.filterwarnings("ignore:Use Deprecated:DeprecationWarning")
def test_the_sample_s_graph_is_built_for_both_batch_sizes_with_progress_and_timings() -> None:
    import tensorrt_rtx as trt

    bundle = open_bundle(SAMPLE)
    lines: list[str] = []
    parts, timing = build_engines(trt, bundle, options_of("f32", 1 << 28), lines.append, b"")
    assert sorted(parts) == ["batch-1", "batch-4"]
    assert all(len(part) > len(bundle.model) / 2 for part in parts.values())
    assert timing
    assert any("batch 4" in line and line.endswith("%") for line in lines)


@needs_rtx
def test_a_graph_that_the_parser_does_not_know_is_named_with_its_operator(tmp_path: Path) -> None:
    import onnx
    import tensorrt_rtx as trt
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Unique", ["tiles"], ["score"])],
        "odd",
        [helper.make_tensor_value_info("tiles", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    bundle = open_bundle(write_small(tmp_path / "odd", model=model.SerializeToString()))
    with pytest.raises(EngineError, match=r"odd/model\.onnx: tensorrt does not take the graph: .*Unique"):
        build_engines(trt, bundle, options_of("f32", 1 << 28), lambda line: None, b"")


@needs_rtx
def test_an_engine_that_is_none_is_refused_and_frees_what_it_took() -> None:
    import tensorrt_rtx as trt

    fake = FakeCuda()
    with pytest.raises(EngineError, match="the engine for batch 4 is refused"):
        load_ring(trt, Cuda(fake), {"batch-4": b"of another GPU", "batch-1": b""}, "tensorrt-f32")
    assert fake.alive == 0


def test_a_cache_is_not_touched_when_the_runtime_is_missing(
    tmp_path: Path, runtime_there: pytest.MonkeyPatch
) -> None:
    runtime_there.setitem(sys.modules, "tensorrt", None)
    bundle = open_bundle(write_small(tmp_path / "small"))
    cache = EngineCache(tmp_path / "engines", 1_000_000)
    with pytest.raises(EngineUnavailable):
        open_runtime(RUNTIMES[0], bundle, settings.Engine(), cache, ORIN)
    assert cache.entries() == []
