"""`cuda.bindings.runtime` for the calls that we make: real host memory, streams that run late, errors on cue.

What is put on a stream happens when the stream or an event of it is waited for, never before; what is
captured happens at each launch. So a wrong order, an early touch or a missing copy changes results.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

SUCCESS = SimpleNamespace(name="cudaSuccess")


class FakeCuda:
    """`errors` maps a call to the error that its next use returns; `alive` counts what was not freed."""

    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}
        self.fail_after: dict[str, int] = {}  # calls that succeed before the error
        self.memory: dict[int, Any] = {}
        self.things: dict[int, Any] = {}
        self.captured: list[Callable[[], None]] | None = None

    @property
    def alive(self) -> int:
        return len(self.memory) + len(self.things)

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if not name.startswith("cuda") or not callable(found):
            return found

        def call(*arguments: Any) -> tuple[Any, ...]:
            if name in self.errors:
                if not self.fail_after.get(name, 0):
                    return (SimpleNamespace(name=self.errors[name]), None)
                self.fail_after[name] -= 1
            value = found(*arguments)
            return (SUCCESS,) if value is None else (SUCCESS, value)

        return call

    def kernel(self, work: Callable[[], None], stream: int) -> None:
        """What a launch of a kernel does."""
        if self.captured is not None:
            self.captured.append(work)
        else:
            self.things[stream].append(work)

    def cudaSetDevice(self, device: int) -> None:
        assert device == 0

    def cudaMalloc(self, size: int) -> int:
        memory = (ctypes.c_uint8 * size)()
        self.memory[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)

    cudaMallocHost = cudaMalloc

    def cudaFree(self, address: int) -> None:
        del self.memory[address]

    cudaFreeHost = cudaFree

    def cudaStreamCreateWithFlags(self, flags: int) -> int:
        return self._new([])

    def cudaEventCreateWithFlags(self, flags: int) -> int:
        return self._new([])

    def cudaMemcpyAsync(self, to: int, of: int, size: int, kind: int, stream: int) -> None:
        self.things[stream].append(lambda: ctypes.memmove(to, of, size))

    def cudaEventRecord(self, event: int, stream: int) -> None:
        self.things[event] = [stream]

    def cudaEventSynchronize(self, event: int) -> None:
        for stream in self.things[event]:
            self._run(stream)

    def cudaStreamSynchronize(self, stream: int) -> None:
        self._run(stream)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> None:
        self.captured = []

    def cudaStreamEndCapture(self, stream: int) -> int:
        captured, self.captured = self.captured, None
        return self._new(captured)

    def cudaGraphInstantiate(self, graph: int, flags: int) -> int:
        return self._new(list(self.things[graph]))

    def cudaGraphLaunch(self, graph: int, stream: int) -> None:
        self.things[stream] += self.things[graph]

    def cudaGraphDestroy(self, thing: int) -> None:
        del self.things[thing]

    cudaGraphExecDestroy = cudaGraphDestroy
    cudaEventDestroy = cudaGraphDestroy
    cudaStreamDestroy = cudaGraphDestroy

    def _new(self, thing: Any) -> int:
        handle = 1 + max(self.things, default=0)
        self.things[handle] = thing
        return handle

    def _run(self, stream: int) -> None:
        waiting, self.things[stream] = self.things[stream], []
        for work in waiting:
            work()
