"""The engine that makes a decision once more: one that is named, that of then, or the best there is."""

from __future__ import annotations

from dataclasses import dataclass

from agent.bundle.bundle import Bundle, read_head
from agent.bundle.files import open_files
from agent.engines.cache import EngineCache
from agent.engines.choice import lacks, look_around
from agent.engines.engine import Engine, EngineError
from agent.engines.open import open_best
from agent.engines.table import RUNTIMES
from agent.errors import PlumblineError
from agent.replay.told import ReplayError
from agent.settings import settings
from agent.settings.settings import Settings

PRECISIONS: dict[str, settings.Precision] = {
    "f32": "f32",
    "tf32": "f32",  # what a GPU makes of it
    "bf16": "bf16",
    "f16": "f16",
    "int8": "int8",
}
DEVICES = ("cuda", "cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """It is closed by whoever has it."""

    engine: Engine
    notes: tuple[str, ...]


def open_for(then: str, named: str | None, bundle: Bundle, wanted: Settings) -> Opened:
    """`then` is the engine's name in the record, `named` what is asked for.

    Raises ReplayError, EngineError.
    """
    machine = look_around()
    cache = EngineCache(wanted.engine_cache(), wanted.engine.cache_max_bytes, protected=_serving(wanted))

    def opened(asked: settings.Engine) -> Engine:
        return open_best(bundle, asked, machine, cache=cache, may_build=False).engine

    if named is not None:
        asked = engine_named(named, wanted.engine)
        if asked is None:
            kinds = ", ".join(dict.fromkeys(one.kind for one in RUNTIMES))
            raise ReplayError(f"--engine {named}: no engine has this name; give one of {kinds}")
        return Opened(engine=opened(asked), notes=())
    asked = engine_named(then, wanted.engine)
    reason = "is none that this version knows"
    if asked is not None:
        kinds_of = [one for one in RUNTIMES if one.kind == asked.kind]
        reason = str(lacks(machine, asked, kinds_of[0]))
        try:
            return Opened(engine=opened(asked), notes=())
        except EngineError as error:
            reason = str(error)
    best = opened(wanted.engine.model_copy(update={"kind": "auto", "precision": "auto", "device": "auto"}))
    return Opened(engine=best, notes=(f"engine {then}, which judged then: {reason}",))


def engine_named(name: str, like: settings.Engine) -> settings.Engine | None:
    """Settings for an engine by its name in a verdict, such as openvino-bf16, or by its kind alone."""
    kinds = sorted({one.kind for one in RUNTIMES}, key=len, reverse=True)
    kind = next((one for one in kinds if name == one or name.startswith(f"{one}-")), None)
    if kind is None:
        return None
    rest = name[len(kind) + 1 :].split("-") if name != kind else []
    if any(one not in PRECISIONS and one not in DEVICES for one in rest):
        return None
    precision = next((PRECISIONS[one] for one in rest if one in PRECISIONS), "auto")
    device = next((one for one in rest if one in DEVICES), "auto")
    if kind == "eager" and name != kind and device == "auto":
        device = "cpu"  # the one on a GPU says so in its name
    return like.model_copy(update={"kind": kind, "precision": precision, "device": device})


def _serving(wanted: Settings) -> frozenset[str]:
    """The bundle whose engines must not make room for this one's."""
    try:
        with open_files(wanted.bundle) as there:
            return frozenset([read_head(there, wanted.bundle).sha256])
    except PlumblineError:
        return frozenset()
