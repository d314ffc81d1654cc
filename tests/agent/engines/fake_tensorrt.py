"""`tensorrt` for the calls that we make, over the fake CUDA runtime; it runs the graph of `small_bundle`.

A serialised engine names the GPU that it was built on and is refused on any other, as the real one is. What
fails is scripted: `build_fails`, `no_context`, `broken` (all scores NaN).
"""

from __future__ import annotations

import ctypes
import enum
import json
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.agent.engines.fake_cuda import FakeCuda
from tests.agent.engines.small_bundle import STRIDE_PX, TILE_PX

CELLS = TILE_PX // STRIDE_PX


class FakeTensorRt:
    """Stands in `sys.modules`; each of its classes is made for this GPU."""

    __version__ = "10.3.0"

    class ILogger:
        class Severity(enum.Enum):
            INTERNAL_ERROR = 0
            ERROR = 1
            WARNING = 2

    class IProgressMonitor:
        pass

    class NetworkDefinitionCreationFlag(enum.IntEnum):
        STRONGLY_TYPED = 1

    class MemoryPoolType(enum.Enum):
        WORKSPACE = 0

    class BuilderFlag(enum.Enum):
        TF32 = 0

    def __init__(self, cuda: FakeCuda, gpu: str) -> None:
        self.cuda, self.gpu = cuda, gpu
        self.builds = 0
        self.timings_seen: list[bytes] = []
        self.build_fails = self.no_context = self.broken = False

    def Builder(self, logger: Any) -> _Builder:
        return _Builder(self, logger)

    def OnnxParser(self, network: Any, logger: Any) -> Any:
        assert network.flags == 1 << 1, "not strongly typed"
        return SimpleNamespace(parse=bool)

    def Runtime(self, logger: Any) -> Any:
        return SimpleNamespace(deserialize_cuda_engine=lambda data: self._engine(data, logger))

    def nptype(self, dtype: Any) -> Any:
        return dtype

    def _engine(self, data: bytes, logger: Any) -> _Engine | None:
        found = json.loads(data)
        if found["gpu"] != self.gpu:
            logger.log(self.ILogger.Severity.ERROR, f"engine is of {found['gpu']}, this is {self.gpu}")
            return None
        return _Engine(self, found["batch"])


class _Builder:
    def __init__(self, trt: FakeTensorRt, logger: Any) -> None:
        self._trt, self._logger = trt, logger

    def create_network(self, flags: int) -> Any:
        return SimpleNamespace(flags=flags)

    def create_builder_config(self) -> _Config:
        return _Config(self._trt)

    def create_optimization_profile(self) -> _Profile:
        return _Profile()

    def build_serialized_network(self, network: Any, config: _Config) -> bytes | None:
        self._trt.builds += 1
        assert config.workspace_bytes > 0 and config.profile is not None
        if self._trt.build_fails:
            error = self._trt.ILogger.Severity.ERROR
            self._logger.log(error, "Could not find any implementation for node Conv_3")
            return None
        config.progress_monitor.phase_start("Timing", None, 2)
        assert config.progress_monitor.step_complete("Timing", 0)
        config.progress_monitor.phase_finish("Timing")
        (batch, *_), *_ = config.profile.shapes
        return json.dumps({"gpu": self._trt.gpu, "batch": batch}).encode()


class _Profile:
    shapes: tuple[tuple[int, ...], ...]

    def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        assert name == "tiles" and len(set(shapes)) == 1, "a fixed batch has one shape"
        self.shapes = shapes


class _Config:
    def __init__(self, trt: FakeTensorRt) -> None:
        self._trt = trt
        self.workspace_bytes = 0
        self.profile: _Profile | None = None
        self.progress_monitor: Any = None

    def set_memory_pool_limit(self, pool: FakeTensorRt.MemoryPoolType, size: int) -> None:
        self.workspace_bytes = size

    def clear_flag(self, flag: FakeTensorRt.BuilderFlag) -> None: ...

    def add_optimization_profile(self, profile: _Profile) -> None:
        self.profile = profile

    def create_timing_cache(self, data: bytes) -> bytes:
        self._trt.timings_seen.append(data)
        return data

    def set_timing_cache(self, cache: bytes, *, ignore_mismatch: bool) -> None:
        assert not ignore_mismatch

    def get_timing_cache(self) -> Any:
        return SimpleNamespace(serialize=lambda: f"timings {self._trt.builds}".encode())


class _Engine:
    def __init__(self, trt: FakeTensorRt, batch: int) -> None:
        self._trt, self._batch = trt, batch
        picture = (batch, TILE_PX, TILE_PX, 1)
        self.tensors: dict[str, tuple[tuple[int, ...], Any]] = {
            "tiles": (picture, np.uint8),
            "score": ((batch,), np.float32),
            "map": ((batch, CELLS, CELLS), np.float32),
            "restored": (picture, np.uint8),
        }

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name][0]

    def get_tensor_dtype(self, name: str) -> Any:
        return self.tensors[name][1]

    def create_execution_context(self) -> _Context | None:
        return None if self._trt.no_context else _Context(self._trt, self)


class _Context:
    def __init__(self, trt: FakeTensorRt, engine: _Engine) -> None:
        self._trt, self._engine = trt, engine
        self._arrays: dict[str, Any] = {}

    def set_tensor_address(self, name: str, address: int) -> None:
        shape, dtype = self._engine.tensors[name]
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = (ctypes.c_uint8 * size).from_address(address)
        self._arrays[name] = np.frombuffer(memory, dtype).reshape(shape)

    def execute_async_v3(self, stream: int) -> bool:
        arrays = dict(self._arrays)

        def work() -> None:
            tiles = arrays["tiles"].astype(np.float32)
            cells = tiles.reshape(-1, CELLS, STRIDE_PX, CELLS, STRIDE_PX).mean((2, 4)) / 255
            arrays["map"][:] = cells
            arrays["score"][:] = np.nan if self._trt.broken else cells.mean((1, 2))
            arrays["restored"][:] = arrays["tiles"]

        self._trt.cuda.kernel(work, stream)
        return True
