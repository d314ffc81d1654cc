"""OpenVINO on the CPU: the default where there is no GPU."""

from __future__ import annotations

import threading
from typing import Any, Literal

import numpy as np

from agent.bundle import MODEL, Bundle
from agent.engines.engine import BATCHES, Answer, Description, EngineError
from agent.messages import Pixels


class OpenVinoEngine:
    """One compiled model per batch size, each with its own request."""

    def __init__(self, requests: dict[int, Any], description: Description) -> None:
        self._requests = requests
        self._description = description
        self._turn = threading.Lock()

    def run(self, tiles: Pixels) -> Answer:
        with self._turn:
            request = self._requests[len(tiles)]
            request.infer([np.ascontiguousarray(tiles)])
            # Copies: the request overwrites its outputs at the next call.
            scores, maps, restored = (np.array(request.get_output_tensor(i).data) for i in range(3))
        return Answer(scores=scores, maps=maps, restored=restored)

    def describe(self) -> Description:
        return self._description

    def close(self) -> None:
        self._requests.clear()


def open_openvino(
    bundle: Bundle, *, precision: Literal["auto", "f32", "bf16"] = "auto", threads: int = 0
) -> OpenVinoEngine:
    """Compile the bundle for this CPU and warm it up; `threads` 0 takes all cores.

    `auto` is bf16 where the CPU has it, which OpenVINO finds out, and f32 elsewhere. Raises EngineError
    when OpenVINO cannot read or compile the model.
    """
    import openvino as ov

    core = ov.Core()
    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if precision != "auto":
        options["INFERENCE_PRECISION_HINT"] = precision
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    spec = bundle.manifest.input
    requests: dict[int, Any] = {}
    try:
        model = core.read_model(bundle.model)
        for batch in BATCHES:
            model.reshape([batch, spec.tile_px, spec.tile_px, spec.channels])
            compiled = core.compile_model(model, "CPU", options)
            requests[batch] = compiled.create_infer_request()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise EngineError(f"{bundle.path}/{MODEL}: {reason} Export the bundle again") from error
    used = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())  # f16 on ARM
    engine = OpenVinoEngine(
        requests,
        Description(
            name=f"openvino-{used}",
            runtime=f"openvino {ov.get_version()}",
            device=str(core.get_property("CPU", "FULL_DEVICE_NAME")),
            precision=used,
        ),
    )
    for batch in BATCHES:
        engine.run(np.zeros((batch, spec.tile_px, spec.tile_px, spec.channels), np.uint8))
    return engine
