"""The runtimes that an engine can be served by, best first; each row says how one is opened.

Speeds are not measured at start-up: the order is that of every machine which was measured, and golden scores
decide whether an engine may serve. A row's module is imported when it is opened, not before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent.bundle.bundle import Bundle
from agent.engines.cache import EngineCache, is_cached
from agent.engines.engine import Engine, EngineUnavailable
from agent.engines.gpu.device import Gpu
from agent.settings import settings

Device: TypeAlias = Literal["cuda", "cpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be opened, and with what."""

    bundle: Bundle
    wanted: settings.Engine
    cache: EngineCache | None
    gpu: Gpu | None  # there where the runtime's device is cuda
    say: Callable[[str], None] = lambda line: None
    may_build: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """One row of the table."""

    kind: str  # as in the settings
    device: Device
    modules: tuple[str, ...]  # without one of them it is not there
    remedy: str
    precisions: tuple[settings.Precision, ...]  # besides auto
    open: Callable[[Asked], Engine]
    is_compiled: Callable[[Asked], bool] | None = None  # of those that compile for minutes and are kept
    slow: bool = False  # it compiles for minutes
    cached: bool = False  # what it compiled is kept

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.device}" if self.kind == "eager" else self.kind


def _tensorrt(asked: Asked) -> Engine:
    from agent.engines.gpu.tensorrt import open_tensorrt, options_of

    assert asked.gpu is not None
    return open_tensorrt(
        _typed(asked),
        gpu=asked.gpu,
        options=options_of(asked.wanted.precision, asked.wanted.workspace_bytes),
        cache=asked.cache,
        say=asked.say,
        may_build=asked.may_build,
    )


def _is_tensorrt_compiled(asked: Asked) -> bool:
    from agent.engines.gpu.tensorrt import engine_key, import_tensorrt, options_of

    assert asked.gpu is not None and asked.cache is not None
    trt, _ = import_tensorrt()
    options = options_of(asked.wanted.precision, asked.wanted.workspace_bytes)
    return is_cached(asked.cache, engine_key(_typed(asked), trt, asked.gpu, options))


def _torch_tensorrt(asked: Asked) -> Engine:
    from agent.engines.gpu.torch_trt import open_torch_tensorrt

    return open_torch_tensorrt(asked.bundle, workspace_bytes=asked.wanted.workspace_bytes)


def _eager_cuda(asked: Asked) -> Engine:
    from agent.engines.gpu.torch_cuda import open_eager_cuda

    return open_eager_cuda(asked.bundle, precision=asked.wanted.precision)


def _openvino(asked: Asked) -> Engine:
    from agent.engines.openvino import open_openvino

    wanted = asked.wanted
    return open_openvino(asked.bundle, precision=wanted.precision, threads=wanted.threads, cache=asked.cache)


def _onnxruntime(asked: Asked) -> Engine:
    from agent.engines.ort import open_ort

    return open_ort(asked.bundle, threads=asked.wanted.threads)


def _eager(asked: Asked) -> Engine:
    from agent.engines.eager import open_eager

    return open_eager(asked.bundle, threads=asked.wanted.threads)


def _typed(asked: Asked) -> Bundle:
    """With the graph whose types are that precision, for engines that keep types."""
    bundle, precision = asked.bundle, asked.wanted.precision
    if precision in ("auto", "f32"):
        return bundle
    if precision not in (bundle.manifest.variants or {}):
        raise EngineUnavailable(
            f"engine.precision: {bundle.path} has no graph in {precision}; make it with `plumbline-lab "
            "variants`, or set auto or f32"
        )
    return bundle.at(precision)


RUNTIMES: tuple[Runtime, ...] = (
    Runtime(
        kind="tensorrt",
        device="cuda",
        modules=("tensorrt", "cuda"),
        remedy="install JetPack's python3-libnvinfer or the tensorrt of your CUDA, and 'plumbline[tensorrt]'",
        precisions=("f32", "f16", "bf16", "int8"),
        open=_tensorrt,
        is_compiled=_is_tensorrt_compiled,
        slow=True,
        cached=True,
    ),
    Runtime(
        kind="torch_tensorrt",
        device="cuda",
        modules=("torch", "onnx", "torch_tensorrt"),
        remedy="install 'plumbline[torch-tensorrt]' from NVIDIA's package index",
        precisions=("f32",),
        open=_torch_tensorrt,
        slow=True,
    ),
    Runtime(
        kind="eager",
        device="cuda",
        modules=("torch", "onnx"),
        remedy="install a torch that is built for CUDA, and onnx",
        precisions=("f32", "bf16"),
        open=_eager_cuda,
    ),
    Runtime(
        kind="openvino",
        device="cpu",
        modules=("openvino",),
        remedy="install plumbline again: openvino belongs to it",
        precisions=("f32", "bf16"),
        open=_openvino,
        cached=True,
    ),
    Runtime(
        kind="onnxruntime",
        device="cpu",
        modules=("onnxruntime",),
        remedy="install 'plumbline[ort]'",
        precisions=("f32",),
        open=_onnxruntime,
    ),
    Runtime(
        kind="eager",
        device="cpu",
        modules=("torch", "onnx"),
        remedy="install 'plumbline[lab]'",
        precisions=("f32",),
        open=_eager,
    ),
)
