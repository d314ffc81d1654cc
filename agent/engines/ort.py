"""ONNX Runtime on the CPU: the small fallback (extra `ort`), float32 only."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnxruntime as ort

from agent.bundle.bundle import MODEL, Bundle
from agent.engines.batches import by_batches
from agent.engines.engine import Answer, Description, EngineError, proven
from agent.messages import Pixels

OUTPUTS = ["score", "map", "restored"]
QUIET = 3  # errors only: what it prints on standard error is no event


class OrtEngine:
    """One session for both batch sizes; its runs are safe from any thread."""

    def __init__(self, session: Any, description: Description) -> None:
        self._session = session
        self._description = description

    def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
        return by_batches(lambda batch: self._run(batch, restored), tiles)

    def describe(self) -> Description:
        return self._description

    def close(self) -> None:
        self._session = None

    def _run(self, batch: Pixels, restored: bool) -> Answer:
        wanted = OUTPUTS if restored else OUTPUTS[:2]  # what is not wanted is not computed either
        found = self._session.run(wanted, {"tiles": np.ascontiguousarray(batch)})
        return Answer(
            scores=found[0],
            maps=found[1],
            restored=found[2] if restored else None,
            engine=self._description.name,
        )


def open_ort(bundle: Bundle, *, threads: int = 0) -> OrtEngine:
    """Load the bundle; `threads` 0 takes all cores. Raises EngineError."""
    started = time.monotonic()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = QUIET
    try:
        session = ort.InferenceSession(bundle.model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base but Exception
        raise EngineError(f"{bundle.path}/{MODEL}: {error}; export the bundle again") from error
    engine = OrtEngine(
        session,
        Description(
            name="onnxruntime-f32",
            runtime=f"onnxruntime {ort.__version__}",
            device="cpu",
            precision="f32",
            open_s=round(time.monotonic() - started, 3),
        ),
    )
    return proven(engine, bundle)
