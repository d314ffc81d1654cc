"""Torch-TensorRT: the bundle's graph exported by torch and compiled by torch_tensorrt, under CUDA graphs.

For workstations that have torch with CUDA. Not run so far: no machine with a GPU and Torch-TensorRT was at
hand. What is tested without one: the graph goes through torch.export with a fixed batch, unchanged.

It is compiled at every start: Torch-TensorRT's own cache is a pickle whose key knows neither weights nor
GPU, and its saved programs cannot be checked before they run.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from agent.bundle.bundle import Bundle, InputSpec
from agent.engines.eager import read_graph
from agent.engines.engine import BATCHES, EngineError, EngineUnavailable
from agent.engines.gpu.ring import RingEngine
from agent.engines.gpu.torch_cuda import open_module, require_cuda


class ByBatch(nn.Module):
    """One compiled program for each batch size."""

    def __init__(self, programs: dict[int, Any]) -> None:
        super().__init__()
        self.programs = programs

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        score, map_, restored = self.programs[len(tiles)](tiles)
        return score, map_, restored


def open_torch_tensorrt(bundle: Bundle, *, workspace_bytes: int) -> RingEngine:
    """Export, compile and prove. Raises EngineUnavailable or EngineError."""
    require_cuda()
    try:
        import torch_tensorrt
    except Exception as error:  # a bare Exception where TensorRT's libraries are missing
        raise EngineUnavailable(
            f"torch_tensorrt cannot be imported: {error}; install the TensorRT that it was built for"
        ) from error
    programs = {}
    for batch in BATCHES:
        program = export_graph(bundle, batch, "cuda")
        try:
            programs[batch] = torch_tensorrt.dynamo.compile(
                program,
                arg_inputs=[example(bundle.manifest.input, batch, "cuda")],
                workspace_size=workspace_bytes,
                immutable_weights=True,
                truncate_double=True,
            )
        except Exception as error:  # compilers raise what they like
            raise EngineError(f"torch_tensorrt: batch {batch} does not compile: {error}") from error
    return open_module(
        bundle,
        ByBatch(programs),
        kind="torch_tensorrt",
        precision="tf32",
        runtime=f"torch_tensorrt {torch_tensorrt.__version__}",
    )


def export_graph(bundle: Bundle, batch: int, device: str) -> Any:
    """The bundle's graph as an exported program of one batch size."""
    graph = read_graph(bundle).to(device)
    with torch.no_grad():
        return torch.export.export(graph, (example(bundle.manifest.input, batch, device),))


def example(spec: InputSpec, batch: int, device: str) -> Tensor:
    return torch.zeros((batch, spec.tile_px, spec.tile_px, spec.channels), dtype=torch.uint8, device=device)
