"""Parse and build one ONNX graph for GPUs that are not here, and say as JSON what came of it.

    RTX_ENV/bin/python -m tests.tensorrt.build GRAPH.onnx     (`make trt-check` makes the environment)

TensorRT-RTX is the parser, the type checker and the ahead-of-time builder of TensorRT's 11th generation, and
needs neither GPU nor driver. It says nothing of speed, of numerics on a GPU, or of Jetson's older parser.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import tensorrt_rtx as trt

TARGETS = ("SM86", "SM89")
BATCHES = (1, 4, 4)  # smallest, tuned for, largest


class Messages(trt.ILogger):  # type: ignore[misc]
    """Keeps warnings and errors."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.found: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        if severity <= trt.ILogger.WARNING:
            self.found.append(f"{severity.name.lower()}: {message}")


def main() -> None:
    messages = Messages()
    started = time.perf_counter()
    builder = trt.Builder(messages)
    network = builder.create_network()
    parser = trt.OnnxParser(network, messages)
    parsed = parser.parse(Path(sys.argv[1]).read_bytes())
    size = build(builder, network) if parsed else 0
    print(
        json.dumps(
            {
                "parsed": parsed,
                "layers": network.num_layers,
                "engine_bytes": size,
                "seconds": round(time.perf_counter() - started, 1),
                "messages": messages.found,
            }
        )
    )


def build(builder: Any, network: Any) -> int:
    """Bytes of one strongly typed engine for all targets; 0 when the builder refuses."""
    config = builder.create_builder_config()
    config.num_compute_capabilities = len(TARGETS)
    for index, name in enumerate(TARGETS):
        config.set_compute_capability(getattr(trt.ComputeCapability, name), index)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        given = network.get_input(index)
        if given.shape[0] == -1:
            profile.set_shape(given.name, *((batch, *given.shape[1:]) for batch in BATCHES))
    if any(network.get_input(index).shape[0] == -1 for index in range(network.num_inputs)):
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    return 0 if engine is None else int(engine.nbytes)


if __name__ == "__main__":
    main()
