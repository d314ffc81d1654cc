"""Open an engine: exactly what the settings name, or the first of the table that proves itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from agent.bundle.bundle import Bundle
from agent.engines.cache import EngineCache
from agent.engines.choice import Machine, choose, lacks, look_around
from agent.engines.engine import Engine, EngineError, EngineUnavailable
from agent.engines.gpu.device import Gpu
from agent.engines.table import RUNTIMES, Asked, Runtime
from agent.settings import settings


def open_engine(
    bundle: Bundle,
    wanted: settings.Engine,
    *,
    cache: EngineCache | None = None,
    machine: Machine | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Engine:
    """A warmed engine that reproduces the bundle's golden scores on this machine.

    `auto` is the fastest that does. Raises EngineError when none does, EngineUnavailable when the one that is
    named cannot be had here.
    """
    machine = machine or look_around()
    if wanted.kind != "auto":
        named = [kind for kind in RUNTIMES if kind.kind == wanted.kind]
        usable = [kind for kind in named if lacks(machine, wanted, kind) is None]
        if not usable:
            raise EngineUnavailable(str(lacks(machine, wanted, named[-1])))
        for kind in usable[:-1]:  # eager on a GPU, where torch may be built for the CPU alone
            with suppress(EngineUnavailable):
                return open_runtime(kind, bundle, wanted, cache, machine.gpu, say)
        return open_runtime(usable[-1], bundle, wanted, cache, machine.gpu, say)
    problems = []
    for kind in choose(machine, wanted).kinds:
        try:
            return open_runtime(kind, bundle, wanted, cache, machine.gpu, say)
        except EngineError as error:
            problems.append(f"{kind.name}: {error}")
    raise EngineError("no engine can serve: " + "; ".join(problems))


def open_runtime(
    runtime: Runtime,
    bundle: Bundle,
    wanted: settings.Engine,
    cache: EngineCache | None,
    gpu: Gpu | None,
    say: Callable[[str], None] = lambda line: None,
    *,
    may_build: bool = True,
) -> Engine:
    """One engine of the table, compiled where it has to be and may be, warmed and proven.

    Raises EngineError; NotCompiled where nothing usable is in the cache and `may_build` is False.
    """
    if wanted.precision not in ("auto", *runtime.precisions):
        raise EngineUnavailable(
            f"engine.precision: {runtime.kind} does not run in {wanted.precision}; set auto or"
            f" {' or '.join(runtime.precisions)}"
        )
    return runtime.open(
        Asked(bundle=bundle, wanted=wanted, cache=cache, gpu=gpu, say=say, may_build=may_build)
    )


def is_compiled(
    runtime: Runtime, bundle: Bundle, wanted: settings.Engine, cache: EngineCache, gpu: Gpu | None
) -> bool:
    """Whether a slow engine of the table lies whole in the cache. Raises EngineError when it never will."""
    if runtime.is_compiled is None:
        return False
    return runtime.is_compiled(Asked(bundle=bundle, wanted=wanted, cache=cache, gpu=gpu))
