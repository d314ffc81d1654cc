"""Open an engine: exactly what the settings name, or the first of the table that proves itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from agent.bundle.bundle import Bundle
from agent.engines.cache import EngineCache
from agent.engines.choice import Machine, choose, lacks, look_around
from agent.engines.engine import Engine, EngineError, EngineUnavailable
from agent.engines.gpu.device import Gpu
from agent.engines.heap import trim_heap
from agent.engines.table import RUNTIMES, Asked, Runtime
from agent.settings import settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The engine that serves, its row of the table, and why those before it in the choice do not."""

    engine: Engine
    kind: Runtime
    refused: tuple[EngineError, ...] = ()


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
    return open_best(bundle, wanted, machine or look_around(), cache=cache, say=say).engine


def open_best(
    bundle: Bundle,
    wanted: settings.Engine,
    machine: Machine,
    *,
    cache: EngineCache | None = None,
    say: Callable[[str], None] = lambda line: None,
    may_build: bool = True,
) -> Best:
    """As `open_engine`, and what was tried before. Raises as that, and NotCompiled as `open_runtime`."""

    def opened(kind: Runtime, *refused: EngineError) -> Best:
        may = may_build or not (kind.slow and kind.cached)
        engine = open_runtime(kind, bundle, wanted, cache, machine.gpu, say, may_build=may)
        return Best(engine=engine, kind=kind, refused=refused)

    if wanted.kind != "auto":
        named = [kind for kind in RUNTIMES if kind.kind == wanted.kind]
        usable = [kind for kind in named if lacks(machine, wanted, kind) is None]
        if not usable:
            raise EngineUnavailable(str(lacks(machine, wanted, named[-1])))
        for kind in usable[:-1]:  # eager on a GPU, where torch may be built for the CPU alone
            with suppress(EngineUnavailable):
                return opened(kind)
        return opened(usable[-1])
    problems: list[EngineError] = []
    kinds = choose(machine, wanted).kinds
    for kind in kinds:
        try:
            return opened(kind, *problems)
        except EngineError as error:
            problems.append(error)
    words = "; ".join(f"{kind.name}: {error}" for kind, error in zip(kinds, problems, strict=True))
    raise EngineError(f"no engine can serve: {words}") from next(iter(problems), None)


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
    engine = runtime.open(
        Asked(bundle=bundle, wanted=wanted, cache=cache, gpu=gpu, say=say, may_build=may_build)
    )
    trim_heap()
    return engine


def is_compiled(
    runtime: Runtime, bundle: Bundle, wanted: settings.Engine, cache: EngineCache, gpu: Gpu | None
) -> bool:
    """Whether a slow engine of the table lies whole in the cache. Raises EngineError when it never will."""
    if runtime.is_compiled is None:
        return False
    return runtime.is_compiled(Asked(bundle=bundle, wanted=wanted, cache=cache, gpu=gpu))
