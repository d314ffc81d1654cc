"""Slots of a ring on NVIDIA's CUDA runtime (package cuda-bindings), without torch.

The only file that calls the CUDA runtime. It takes the module `cuda.bindings.runtime` as an argument, so that
the tests can put an honest fake in its place; on a real GPU it has not been run.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from agent.engines.engine import Answer, DeviceLost, EngineError, EngineUnavailable, OutOfMemory
from agent.messages import Pixels

Enqueue = Callable[[Mapping[str, int], int], None]  # device addresses by tensor name, stream
Shapes = Mapping[str, tuple[tuple[int, ...], Any]]  # shape and numpy type by tensor name

TILES = "tiles"
RESULTS = ("score", "map", "restored")
UNAVAILABLE = ("cudaErrorInsufficientDriver", "cudaErrorNoDevice", "cudaErrorSystemDriverMismatch")


class Cuda:
    """The runtime's calls with their errors as exceptions."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime

    def call(self, name: str, *arguments: Any) -> Any:
        """One call; its value, if it has one. Raises EngineUnavailable, OutOfMemory or DeviceLost."""
        code, *values = getattr(self._runtime, name)(*arguments)
        if code.name != "cudaSuccess":
            raise _error(name, code.name)
        return values[0] if values else None

    def constant(self, kind: str, name: str) -> Any:
        return getattr(getattr(self._runtime, kind), name)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> tuple[int, Any]:
        """Page-locked memory: its address, and the same as an array."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = self.call("cudaMallocHost", size)
        memory = (ctypes.c_uint8 * size).from_address(address)
        return address, np.frombuffer(memory, dtype).reshape(shape)

    def upload(self, device: int, host: int, size: int, stream: Any) -> None:
        kind = self.constant("cudaMemcpyKind", "cudaMemcpyHostToDevice")
        self.call("cudaMemcpyAsync", device, host, size, kind, stream)

    def download(self, host: int, device: int, size: int, stream: Any) -> None:
        kind = self.constant("cudaMemcpyKind", "cudaMemcpyDeviceToHost")
        self.call("cudaMemcpyAsync", host, device, size, kind, stream)

    def capture(self, work: Callable[[], None], stream: Any) -> Any:
        """What `work` puts on the stream, as a graph that can be launched again and again."""
        mode = self.constant("cudaStreamCaptureMode", "cudaStreamCaptureModeThreadLocal")
        self.call("cudaStreamBeginCapture", stream, mode)
        try:
            work()
        finally:
            graph = self.call("cudaStreamEndCapture", stream)
        launchable = self.call("cudaGraphInstantiate", graph, 0)
        self.call("cudaGraphDestroy", graph)
        return launchable


class RuntimeSlot:
    """One batch size's buffers, stream, event and graph; `open` makes them, `close` frees what was made."""

    def __init__(self, cuda: Cuda, shapes: Shapes, enqueue: Enqueue, name: str) -> None:
        self._cuda = cuda
        self._shapes = shapes
        self._enqueue = enqueue
        self._name = name
        self._addresses: dict[str, int] = {}
        self._pinned: dict[str, tuple[int, Any]] = {}
        self._stream: Any = None
        self._event: Any = None
        self._graph: Any = None
        self._wanted: tuple[str, ...] = RESULTS

    def open(self) -> None:
        """Raises OutOfMemory or DeviceLost, with nothing left behind."""
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def submit(self, tiles: Pixels, *, restored: bool) -> None:
        np.copyto(self._pinned[TILES][1], tiles)
        self._wanted = RESULTS if restored else RESULTS[:2]
        self._cuda.upload(self._addresses[TILES], self._pinned[TILES][0], self._size(TILES), self._stream)
        self._cuda.call("cudaGraphLaunch", self._graph, self._stream)
        for name in self._wanted:
            self._cuda.download(self._pinned[name][0], self._addresses[name], self._size(name), self._stream)
        self._cuda.call("cudaEventRecord", self._event, self._stream)

    def wait(self) -> Answer:
        self._cuda.call("cudaEventSynchronize", self._event)
        found = {name: self._pinned[name][1].copy() for name in self._wanted}
        return Answer(
            scores=found["score"], maps=found["map"], restored=found.get("restored"), engine=self._name
        )

    def drain(self) -> None:
        self._cuda.call("cudaStreamSynchronize", self._stream)

    def close(self) -> None:
        freed: list[tuple[str, Any]] = [
            ("cudaGraphExecDestroy", self._graph),
            ("cudaEventDestroy", self._event),
        ]
        freed += [("cudaFree", address) for address in self._addresses.values()]
        freed += [("cudaFreeHost", address) for address, _ in self._pinned.values()]
        freed.append(("cudaStreamDestroy", self._stream))
        self._graph = self._event = self._stream = None
        self._addresses, self._pinned = {}, {}
        for call, thing in freed:
            if thing is not None:
                try:
                    self._cuda.call(call, thing)
                except EngineError:
                    return  # the device is gone, and its memory with it

    def _open(self) -> None:
        cuda = self._cuda
        blocking_sync, no_timing = 1, 2  # a waiting thread sleeps: the cameras need the cores
        self._stream = cuda.call("cudaStreamCreateWithFlags", 1)  # does not wait for the legacy stream
        self._event = cuda.call("cudaEventCreateWithFlags", blocking_sync | no_timing)
        for name, (shape, dtype) in self._shapes.items():
            self._addresses[name] = cuda.call("cudaMalloc", self._size(name))
            self._pinned[name] = cuda.pinned(shape, dtype)
        stream = int(self._stream)
        self._enqueue(self._addresses, stream)  # a first run allocates; a capture must not
        cuda.call("cudaStreamSynchronize", self._stream)
        self._graph = cuda.capture(lambda: self._enqueue(self._addresses, stream), self._stream)

    def _size(self, name: str) -> int:
        shape, dtype = self._shapes[name]
        return int(np.prod(shape)) * np.dtype(dtype).itemsize


def _error(call: str, name: str) -> EngineError:
    if name == "cudaErrorMemoryAllocation":
        return OutOfMemory(f"GPU: {call}: {name}; free memory on the GPU or use a smaller model")
    if name in UNAVAILABLE:
        return EngineUnavailable(
            f"GPU: {call}: {name}; the driver is too old for this cuda-bindings, or there is no GPU: "
            "update it or set engine.device to cpu"
        )
    return DeviceLost(f"GPU: {call}: {name}; see dmesg for Xid messages, restart the agent")
