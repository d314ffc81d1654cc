"""TensorRT, built on the device from the bundle's ONNX with the TensorRT that the device has.

From JetPack's 10.3 to 11: strongly typed networks, so precision comes from the graph; one engine for each
batch size; a timing cache, so that the next build of a similar graph is faster. No torch.

Not run on a GPU so far. The build half has been run without one by TensorRT-RTX, whose parser and builder
have the same interface (`tests/agent/engines/gpu/test_tensorrt.py`, where that package is installed); the
whole way runs over fakes of both runtimes (`test_tensorrt_flow.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agent.bundle.bundle import MODEL, Bundle
from agent.engines.cache import CacheError, EngineCache, open_cached
from agent.engines.cache_entry import Entry, EntryDamaged, Key, key_of
from agent.engines.engine import (
    BATCHES,
    Description,
    EngineError,
    EngineUnavailable,
    OutOfMemory,
    proven,
)
from agent.engines.gpu.cuda_runtime import RESULTS, TILES, Cuda, RuntimeSlot
from agent.engines.gpu.device import Gpu
from agent.engines.gpu.ring import SLOTS, Ring, RingEngine
from agent.settings import settings

Progress = Callable[[str], None]  # one line for people, whenever there is something new

OLDEST = (10, 3)
KIND = "tensorrt"
TIMING = "timing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the builder is told."""

    precision: Literal["tf32", "f32", "bf16", "f16", "int8"]
    workspace_bytes: int  # most memory that a layer may use; on a Jetson it is taken from everybody's

    @property
    def flags(self) -> tuple[str, ...]:
        return ("strongly_typed", f"workspace_bytes={self.workspace_bytes}")


def options_of(precision: settings.Precision, workspace_bytes: int) -> Options:
    """`auto` leaves TF32 on. The others but f32 come from the types of a variant's graph."""
    return Options(precision="tf32" if precision == "auto" else precision, workspace_bytes=workspace_bytes)


def import_tensorrt() -> tuple[Any, Any]:
    """The modules tensorrt and cuda.bindings.runtime. Raises EngineUnavailable naming what is missing."""
    try:
        import tensorrt as trt
        from cuda.bindings import runtime
    except Exception as error:  # shared libraries that are missing are told in many ways
        raise EngineUnavailable(
            f"tensorrt cannot be imported: {error}; install JetPack's python3-libnvinfer or the tensorrt of "
            "your CUDA, and 'plumbline[tensorrt]'"
        ) from error
    version = tuple(int(number) for number in trt.__version__.split(".")[:2])
    if version < OLDEST:
        raise EngineUnavailable(f"tensorrt {trt.__version__} is older than 10.3; update it or JetPack")
    return trt, runtime


def engine_key(bundle: Bundle, trt: Any, gpu: Gpu, options: Options) -> Key:
    return key_of(
        bundle,
        engine=KIND,
        runtime=f"tensorrt {trt.__version__}",
        device=gpu.name,
        capability=gpu.capability,
        driver=gpu.driver,
        precision=options.precision,
        flags=options.flags,
    )


def open_tensorrt(
    bundle: Bundle,
    *,
    gpu: Gpu,
    options: Options,
    cache: EngineCache | None = None,
    say: Progress = lambda line: None,
    may_build: bool = True,
) -> RingEngine:
    """Build the engines or load what was built, and prove them; minutes without a cached build.

    Raises EngineUnavailable, NotCompiled, OutOfMemory or EngineError.
    """
    trt, runtime = import_tensorrt()
    cuda = Cuda(runtime)
    cuda.call("cudaSetDevice", 0)
    key = engine_key(bundle, trt, gpu, options)
    started = time.monotonic()

    def load(entry: Entry, from_cache: bool) -> RingEngine:
        ring = load_ring(trt, cuda, entry.parts, f"{KIND}-{options.precision}")
        engine = RingEngine(
            ring,
            Description(
                name=f"{KIND}-{options.precision}",
                runtime=key.runtime,
                device=gpu.words,
                precision=options.precision,
                open_s=round(time.monotonic() - started, 3),
                from_cache=from_cache,
            ),
        )
        return proven(engine, bundle)

    def build() -> Mapping[str, bytes]:
        timing_key = _timing_key(key)
        parts, timing = build_engines(trt, bundle, options, say, _kept_timing(cache, timing_key))
        if cache is not None:
            with suppress(CacheError):  # the engines, stored next, will tell
                cache.store(timing_key, Entry(parts={TIMING: timing}, build_s=0.0))
        return parts

    return open_cached(cache, key, build=build, load=load, may_build=may_build)


def build_engines(
    trt: Any, bundle: Bundle, options: Options, say: Progress, timing: bytes
) -> tuple[dict[str, bytes], bytes]:
    """A serialised engine for each batch size, and the timing cache as it is then. Raises EngineError."""
    logger = _logger(trt)
    builder = trt.Builder(logger)
    flags = trt.NetworkDefinitionCreationFlag
    typed = 1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0  # 11 knows no other
    network = builder.create_network(typed)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(bundle.model):
        problems = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise EngineError(f"{bundle.path}/{MODEL}: {KIND} does not take the graph: {problems}")
    spec = bundle.manifest.input
    parts: dict[str, bytes] = {}
    for batch in BATCHES:
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
        if options.precision == "f32":
            config.clear_flag(trt.BuilderFlag.TF32)
        profile = builder.create_optimization_profile()
        shape = (batch, spec.tile_px, spec.tile_px, spec.channels)
        profile.set_shape(TILES, shape, shape, shape)
        config.add_optimization_profile(profile)
        if hasattr(config, "create_timing_cache"):
            config.set_timing_cache(config.create_timing_cache(timing), ignore_mismatch=False)
        config.progress_monitor = _monitor(trt, say, f"batch {batch}")
        built = builder.build_serialized_network(network, config)
        if built is None:
            raise EngineError(
                f"{KIND}: batch {batch} could not be built: {logger.last or 'no reason given'}; lack of "
                "memory is often behind it: lower engine.workspace_bytes, close other programs"
            )
        parts[f"batch-{batch}"] = bytes(built)
        if hasattr(config, "get_timing_cache"):
            timing = bytes(config.get_timing_cache().serialize())
    return parts, timing


def load_ring(trt: Any, cuda: Cuda, parts: Mapping[str, bytes], name: str) -> Ring:
    """Contexts and slots of serialised engines. Raises EngineError when the runtime does not take them."""
    logger = _logger(trt)
    runtime = trt.Runtime(logger)
    slots: dict[int, list[RuntimeSlot]] = {}
    try:
        for batch, count in SLOTS.items():
            engine = runtime.deserialize_cuda_engine(parts[f"batch-{batch}"])
            if engine is None:
                raise EngineError(
                    f"{KIND}: the engine for batch {batch} is refused: {logger.last or 'no reason given'}"
                )
            slots[batch] = []
            for _ in range(count):
                slot = RuntimeSlot(cuda, _shapes(trt, engine, batch), _enqueue(engine), name)
                slot.open()
                slots[batch].append(slot)
    except BaseException:
        for opened in slots.values():
            for slot in opened:
                slot.close()
        raise
    return Ring(slots)


def _shapes(trt: Any, engine: Any, batch: int) -> dict[str, tuple[tuple[int, ...], Any]]:
    shapes = {}
    for name in (TILES, *RESULTS):
        sides = tuple(engine.get_tensor_shape(name))
        dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
        shapes[name] = ((batch, *sides[1:]), dtype)
    return shapes


def _enqueue(engine: Any) -> Callable[[Mapping[str, int], int], None]:
    context = engine.create_execution_context()  # one for each slot: it owns the activations
    if context is None:
        raise OutOfMemory(f"{KIND}: no memory for an execution context; free memory on the GPU")

    def enqueue(addresses: Mapping[str, int], stream: int) -> None:
        for name, address in addresses.items():
            context.set_tensor_address(name, address)
        if not context.execute_async_v3(stream):
            raise EngineError(f"{KIND}: execute_async_v3 refused to run; build the engine again")

    return enqueue


def _kept_timing(cache: EngineCache | None, key: Key) -> bytes:
    if cache is None:
        return b""
    try:
        entry = cache.load(key)
    except (EntryDamaged, CacheError):
        cache.discard(key)
        return b""
    return b"" if entry is None else entry.parts.get(TIMING, b"")


def _timing_key(key: Key) -> Key:
    """Of all bundles on one device: timings are of layers, not of weights."""
    return Key(
        engine=f"{KIND}-{TIMING}",
        bundle="any",
        bundle_sha256="",
        graph_sha256="",
        runtime=key.runtime,
        device=key.device,
        capability=key.capability,
        driver=key.driver,
        precision=key.precision,
        batches=key.batches,
        flags=(),
    )


def _logger(trt: Any) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        """Keeps the last error: the calls themselves only return None."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.last = message

    return Logger()


def _monitor(trt: Any, say: Progress, what: str) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """The builder's phases as lines."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self._said = ""

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            share = 100 * (step + 1) // max(1, self._steps.get(phase_name, 1))
            line = f"{what}: {phase_name} {share} %"
            if line != self._said:
                self._said = line
                say(line)
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()
