"""OpenVINO on the CPU: the default where there is no GPU."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agent.bundle.bundle import MODEL, Bundle
from agent.engines.batches import by_batches
from agent.engines.cache import EngineCache, open_cached
from agent.engines.cache_entry import Entry, key_of
from agent.engines.engine import BATCHES, Answer, Description, EngineError, proven
from agent.messages import Pixels
from agent.settings import settings


class OpenVinoEngine:
    """One compiled model per batch size, each with its own request."""

    def __init__(self, requests: dict[int, Any], description: Description) -> None:
        self._requests = requests
        self._description = description
        self._turn = threading.Lock()

    def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
        return by_batches(lambda batch: self._run(batch, restored), tiles)

    def describe(self) -> Description:
        return self._description

    def close(self) -> None:
        self._requests.clear()

    def _run(self, batch: Pixels, restored: bool) -> Answer:
        with self._turn:  # of one batch: cameras that share the engine take turns within a frame
            request = self._requests[len(batch)]
            request.infer([np.ascontiguousarray(batch)])
            # Copies: the request overwrites its outputs at the next call.
            found = [np.array(request.get_output_tensor(i).data) for i in range(3 if restored else 2)]
        return Answer(
            scores=found[0],
            maps=found[1],
            restored=found[2] if restored else None,
            engine=self._description.name,
        )


def open_openvino(
    bundle: Bundle,
    *,
    precision: settings.Precision = "auto",
    threads: int = 0,
    cache: EngineCache | None = None,
) -> OpenVinoEngine:
    """Compile the bundle for this CPU, or load what was compiled; `threads` 0 takes all cores.

    `auto` is bf16 where the CPU has it, which OpenVINO finds out, and f32 elsewhere, and where the bundle
    was calibrated in others than what this CPU would take. Raises EngineError
    when OpenVINO cannot read or compile the model, or it does not reproduce the golden scores.
    """
    import openvino as ov

    started = time.monotonic()
    core = core_of_process()
    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if precision == "auto" and not may_reduce(bundle, core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")):
        precision = "f32"
    if precision != "auto":
        options["INFERENCE_PRECISION_HINT"] = precision
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
        options["ENABLE_CPU_PINNING"] = False  # else every process has its threads on the first cores
    device = str(core.get_property("CPU", "FULL_DEVICE_NAME"))
    runtime = f"openvino {ov.get_version()}"
    key = key_of(
        bundle,
        engine="openvino",
        runtime=runtime,
        device=device,
        capability=" ".join(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        driver="none",
        precision=precision,
        flags=tuple(f"{name}={value}" for name, value in sorted(options.items())),
    )

    def build() -> Mapping[str, bytes]:
        return {
            f"batch-{batch}": compiled.export_model().getvalue()
            for batch, compiled in _compile(core, bundle, options).items()
        }

    def load(entry: Entry, from_cache: bool) -> OpenVinoEngine:
        try:
            compiled = {
                batch: core.import_model(entry.parts[f"batch-{batch}"], "CPU", options) for batch in BATCHES
            }
        except RuntimeError as error:
            raise EngineError(f"{runtime} refuses the compiled model: {_reason(error)}") from error
        return opened(compiled, from_cache)

    def opened(compiled: dict[int, Any], from_cache: bool) -> OpenVinoEngine:
        used = str(compiled[BATCHES[0]].get_property("INFERENCE_PRECISION_HINT").to_string())  # f16 on ARM
        engine = OpenVinoEngine(
            {batch: one.create_infer_request() for batch, one in compiled.items()},
            Description(
                name=f"openvino-{used}",
                runtime=runtime,
                device=device,
                precision=used,
                open_s=round(time.monotonic() - started, 3),
                from_cache=from_cache,
            ),
        )
        return proven(engine, bundle)

    if cache is None:
        return opened(_compile(core, bundle, options), False)
    return open_cached(cache, key, build=build, load=load)


def may_reduce(bundle: Bundle, capabilities: Sequence[str]) -> bool:
    """Whether the bundle was calibrated in what OpenVINO takes of itself on a CPU of these capabilities."""
    variants = bundle.manifest.variants
    own = "bf16" if "BF16" in capabilities else "f16" if "FP16" in capabilities else "f32"
    return variants is None or own == "f32" or own in variants


@functools.cache
def core_of_process() -> Any:
    """One for the process, which never goes.

    Where the CPU has AMX, OpenVINO's plugin gives the thread that loads it another stack for signals and
    takes the memory of it back with its last core, from whichever thread that goes: the next signal to the
    first one is then a segmentation fault, without a word.
    """
    import openvino as ov

    return ov.Core()


def _compile(core: Any, bundle: Bundle, options: dict[str, Any]) -> dict[int, Any]:
    spec = bundle.manifest.input
    compiled: dict[int, Any] = {}
    try:
        model = core.read_model(bundle.model)
        for batch in BATCHES:
            model.reshape([batch, spec.tile_px, spec.tile_px, spec.channels])
            compiled[batch] = core.compile_model(model, "CPU", options)
    except RuntimeError as error:
        raise EngineError(f"{bundle.path}/{MODEL}: {_reason(error)} Export the bundle again") from error
    return compiled


def _reason(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1]
