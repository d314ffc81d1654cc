"""A torch module on an NVIDIA GPU: pinned buffers, one stream and one CUDA graph for each slot of a ring.

The only file that calls torch.cuda. Where there is no GPU nothing of it but `named` has been run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agent.bundle.bundle import Bundle, InputSpec
from agent.engines.eager import read_graph
from agent.engines.engine import (
    Answer,
    Description,
    DeviceLost,
    EngineUnavailable,
    OutOfMemory,
    proven,
)
from agent.engines.gpu.ring import SLOTS, Loop, Ring, RingEngine, overlapped
from agent.messages import Pixels
from agent.settings import settings

WARM_UP_RUNS = 3  # before a capture: libraries choose and allocate then
BF16_SINCE = (8, 0)


class CudaSlot:
    """One captured graph with the buffers that it was captured on."""

    def __init__(
        self,
        graph: Any,
        stream: Any,
        event: Any,
        tiles: tuple[Tensor, Tensor],  # pinned, device
        results: list[tuple[Tensor, Tensor]],  # (pinned, device) of score, map and restored
        name: str,
    ) -> None:
        self._graph = graph
        self._stream = stream
        self._event = event
        self._tiles = tiles
        self._results = results
        self._name = name
        self._wanted = 0

    def submit(self, tiles: Pixels, *, restored: bool) -> None:
        pinned, on_device = self._tiles
        np.copyto(pinned.numpy(), tiles)
        self._wanted = 3 if restored else 2
        with _named(), torch.cuda.stream(self._stream):
            on_device.copy_(pinned, non_blocking=True)
            self._graph.replay()
            for host, device in self._results[: self._wanted]:
                host.copy_(device, non_blocking=True)
            self._event.record(self._stream)

    def wait(self) -> Answer:
        with _named():
            self._event.synchronize()
        found = [host.numpy().copy() for host, _ in self._results[: self._wanted]]
        return Answer(
            scores=found[0],
            maps=found[1],
            restored=found[2] if self._wanted == 3 else None,
            engine=self._name,
        )

    def drain(self) -> None:
        with _named():
            self._stream.synchronize()

    def close(self) -> None:
        self._results.clear()
        self._graph.reset()


class Autocast(nn.Module):
    """The module in bf16 where that is safe; its results in their own types."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(tiles.device.type, torch.bfloat16):
            score, map_, restored = self.module(tiles)
        return score.float(), map_.float(), restored


def open_eager_cuda(
    bundle: Bundle, *, precision: settings.Precision = "auto", loop: Loop = overlapped
) -> RingEngine:
    """The bundle's graph in eager torch under CUDA graphs; `auto` is bf16 where the GPU has it.

    Raises EngineUnavailable, OutOfMemory or EngineError.
    """
    require_cuda()
    has_bf16 = torch.cuda.get_device_capability() >= BF16_SINCE
    if precision == "bf16" and not has_bf16:
        raise EngineUnavailable(
            f"engine.precision: {torch.cuda.get_device_name()} has no bf16; set f32 or auto"
        )
    used = "bf16" if precision == "bf16" or (precision == "auto" and has_bf16) else "f32"
    graph = read_graph(bundle)
    module = Autocast(graph) if used == "bf16" else graph
    return open_module(bundle, module, kind="eager-cuda", precision=used, loop=loop)


def open_module(
    bundle: Bundle,
    module: nn.Module,
    *,
    kind: str,
    precision: str,
    runtime: str = f"torch {torch.__version__}",
    loop: Loop = overlapped,
) -> RingEngine:
    """Any module of tiles -> (score, map, restored) as a proven engine on the GPU."""
    started = time.monotonic()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # f32 means f32
    name = f"{kind}-{precision}"
    slots: dict[int, list[CudaSlot]] = {}
    with _named(), torch.no_grad():
        module = module.eval().cuda()
        for batch, count in SLOTS.items():
            slots[batch] = [open_slot(module, bundle.manifest.input, batch, name) for _ in range(count)]
    engine = RingEngine(
        Ring(slots),
        Description(
            name=name,
            runtime=runtime,
            device=torch.cuda.get_device_name(),
            precision=precision,
            open_s=round(time.monotonic() - started, 3),
        ),
        loop,
    )
    return proven(engine, bundle)


def open_slot(module: Callable[[Tensor], Any], spec: InputSpec, batch: int, name: str) -> CudaSlot:
    """Buffers at fixed addresses, and the module captured on them."""
    shape = (batch, spec.tile_px, spec.tile_px, spec.channels)
    pinned = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
    on_device = torch.zeros(shape, dtype=torch.uint8, device="cuda")
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_RUNS):
            module(on_device)
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    # thread_local: other engines of this process may allocate meanwhile
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        found = module(on_device)
    results = [(torch.empty(one.shape, dtype=one.dtype, pin_memory=True), one) for one in found]
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    return CudaSlot(graph, stream, event, (pinned, on_device), results, name)


def require_cuda() -> None:
    """Raises EngineUnavailable when this torch cannot use a GPU."""
    if not torch.cuda.is_available():
        raise EngineUnavailable(
            f"torch {torch.__version__} finds no CUDA GPU; install a torch that is built for CUDA and this "
            "driver, or set engine.device to cpu"
        )


def named(error: Exception) -> Exception:
    """What torch raised, as one of the engines' own errors where it is about the device."""
    about_cuda = isinstance(error, RuntimeError) and "CUDA" in str(error)
    if isinstance(error, torch.cuda.OutOfMemoryError) or (about_cuda and "out of memory" in str(error)):
        return OutOfMemory(f"GPU: {_first_line(error)}; free memory on the GPU or use a smaller model")
    if about_cuda:
        # Nearly every CUDA error leaves a context that answers nothing any more.
        return DeviceLost(f"GPU: {_first_line(error)}; see dmesg for Xid messages, restart the agent")
    return error


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        found = named(error)
        if found is error:
            raise
        raise found from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
