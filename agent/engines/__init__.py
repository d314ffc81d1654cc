"""Engines behind one protocol, and the one place that selects.

`open_engine` gives exactly what the settings name, or the first of the table that proves itself; `room.py`
keeps an agent served while engines are compiled and fail.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from agent.bundle.bundle import Bundle
from agent.engines.cache import EngineCache, is_cached
from agent.engines.choice import RANKING, Kind, Machine, choose, lacks, look_around
from agent.engines.engine import Engine, EngineError, EngineUnavailable
from agent.engines.gpu.device import Gpu
from agent.settings import settings


def open_engine(
    bundle: Bundle,
    wanted: settings.Engine,
    *,
    cache: EngineCache | None = None,
    machine: Machine | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Engine:
    """A warmed engine that reproduces the bundle's golden scores on this machine.

    `auto` is the fastest that does. Raises EngineError when none does, EngineUnavailable when the one that is
    named cannot be had here.
    """
    machine = machine or look_around()
    if wanted.kind != "auto":
        named = [kind for kind in RANKING if kind.kind == wanted.kind]
        usable = [kind for kind in named if lacks(machine, wanted, kind) is None]
        if not usable:
            raise EngineUnavailable(str(lacks(machine, wanted, named[-1])))
        for kind in usable[:-1]:  # eager on a GPU, where torch may be built for the CPU alone
            with suppress(EngineUnavailable):
                return open_kind(kind, bundle, wanted, cache, machine.gpu, say)
        return open_kind(usable[-1], bundle, wanted, cache, machine.gpu, say)
    problems = []
    for kind in choose(machine, wanted).kinds:
        try:
            return open_kind(kind, bundle, wanted, cache, machine.gpu, say)
        except EngineError as error:
            problems.append(f"{kind.name}: {error}")
    raise EngineError("no engine can serve: " + "; ".join(problems))


def open_kind(
    kind: Kind,
    bundle: Bundle,
    wanted: settings.Engine,
    cache: EngineCache | None,
    gpu: Gpu | None,
    say: Callable[[str], None] = lambda line: None,
    *,
    may_build: bool = True,
) -> Engine:
    """One engine of the table, compiled where it has to be and may be, warmed and proven.

    Raises EngineError; NotCompiled where nothing usable is in the cache and `may_build` is False.
    """
    if kind.kind == "tensorrt":
        from agent.engines.gpu.tensorrt import open_tensorrt, options_of

        assert gpu is not None
        options = options_of(wanted.precision, wanted.workspace_bytes)
        typed = _typed(bundle, wanted.precision)
        return open_tensorrt(typed, gpu=gpu, options=options, cache=cache, say=say, may_build=may_build)
    precision = wanted.precision
    if precision == "f16" or precision == "int8":
        raise EngineUnavailable(f"engine.precision: {kind.kind} does not run in {precision}; set auto or f32")
    if kind.kind == "openvino":
        from agent.engines.openvino import open_openvino

        return open_openvino(bundle, precision=precision, threads=wanted.threads, cache=cache)
    if kind.kind == "torch_tensorrt":
        from agent.engines.gpu.torch_trt import open_torch_tensorrt

        return open_torch_tensorrt(bundle, workspace_bytes=wanted.workspace_bytes)
    if kind.kind == "eager" and kind.device == "cuda":
        from agent.engines.gpu.torch_cuda import open_eager_cuda

        return open_eager_cuda(bundle, precision=precision)
    if precision == "bf16":
        raise EngineUnavailable(
            f"engine.precision: {kind.kind} runs in f32 only; set f32 or auto, or kind openvino"
        )
    if kind.kind == "onnxruntime":
        from agent.engines.ort import open_ort

        return open_ort(bundle, threads=wanted.threads)
    from agent.engines.eager import open_eager

    return open_eager(bundle, threads=wanted.threads)


def is_compiled(
    kind: Kind, bundle: Bundle, wanted: settings.Engine, cache: EngineCache, gpu: Gpu | None
) -> bool:
    """Whether a slow engine of the table lies whole in the cache. Raises EngineError when it never will."""
    if kind.kind != "tensorrt":
        return False
    from agent.engines.gpu.tensorrt import engine_key, import_tensorrt, options_of

    assert gpu is not None
    trt, _ = import_tensorrt()
    options = options_of(wanted.precision, wanted.workspace_bytes)
    return is_cached(cache, engine_key(_typed(bundle, wanted.precision), trt, gpu, options))


def _typed(bundle: Bundle, precision: str) -> Bundle:
    """With the graph whose types are that precision, for engines that keep types."""
    if precision in ("auto", "f32"):
        return bundle
    if precision not in (bundle.manifest.variants or {}):
        raise EngineUnavailable(
            f"engine.precision: {bundle.path} has no graph in {precision}; make it with `plumbline-lab "
            "variants`, or set auto or f32"
        )
    return bundle.at(precision)
