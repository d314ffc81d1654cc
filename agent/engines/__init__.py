"""Engines behind one protocol; `open_engine` picks by settings."""

from __future__ import annotations

from agent import settings
from agent.bundle import Bundle
from agent.engines.engine import Engine, EngineError, check_golden


def open_engine(bundle: Bundle, wanted: settings.Engine) -> Engine:
    """A warmed engine that reproduces the bundle's golden scores on this machine.

    `auto` is OpenVINO. Raises EngineError when the engine is not installed or disagrees.
    """
    engine = _open(bundle, wanted)
    check_golden(engine, bundle)
    return engine


def _open(bundle: Bundle, wanted: settings.Engine) -> Engine:
    if wanted.kind == "eager":
        if wanted.precision == "bf16":
            raise EngineError("engine.precision: eager runs in f32 only; set f32 or auto, or kind openvino")
        try:
            from agent.engines.eager import open_eager
        except ModuleNotFoundError as error:
            raise EngineError(
                f"engine.kind: eager needs {error.name}; install 'plumbline[lab]' or set kind to openvino"
            ) from error
        return open_eager(bundle, threads=wanted.threads)
    from agent.engines.openvino import open_openvino

    return open_openvino(bundle, precision=wanted.precision, threads=wanted.threads)
