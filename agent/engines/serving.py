"""Keeps the line's switch served: opens the best engine that is ready, compiles a better one beside it, and
puts the next in place when one fails. What is done next is decided in `failover`; here it is done.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent.bundle.bundle import Bundle
from agent.engines.apart import Order, compile_apart
from agent.engines.cache import EngineCache, NotCompiled
from agent.engines.choice import Machine, choose
from agent.engines.engine import Engine, EngineError
from agent.engines.failover import Compile, Open, Standing, StartOver, next_step
from agent.engines.gpu.device import Gpu
from agent.engines.open import is_compiled, open_runtime
from agent.engines.switch import Switch
from agent.engines.table import Runtime
from agent.settings import settings

log = structlog.get_logger()

LOOK_EVERY_S = 0.5
START_OVER_AFTER_S = 30.0
STUCK_AFTER_S = 60.0  # no frame takes that long on a device that lives


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An engine that may serve."""

    name: str
    is_ready: Callable[[], bool]  # opens within seconds; may raise EngineError
    open: Callable[[], Engine]
    compile: Callable[[Callable[[str], None], threading.Event], None]  # makes it ready; raises EngineError


class Serving:
    """Owns the engines behind a switch; `run` is a member of the agent's crew."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        switch: Switch,
        *,
        problems: tuple[str, ...] = (),
    ) -> None:
        """Candidates are best first; `problems` are said as long as this lives."""
        self._candidates = candidates
        self._switch = switch
        self._problems = problems
        self._failed: Counter[str] = Counter()
        self._lock = threading.Lock()  # over what `words` reads
        self._failures: dict[int, str] = {}
        self._serving: int | None = None
        self._busy: int | None = None  # which is being opened or compiled
        self._compiled: set[int] = set()
        self._refused: set[int] = set()  # compiled once, and not usable
        self._settled = False

    @property
    def failed(self) -> dict[str, int]:
        """How often each engine could not be opened or was taken down, since the start; from any thread."""
        with self._lock:
            return dict(self._failed)

    @property
    def serves(self) -> dict[str, bool]:
        """Every engine that may serve, best first, and whether it is the one; from any thread."""
        with self._lock:
            return {one.name: index == self._serving for index, one in enumerate(self._candidates)}

    @property
    def is_settled(self) -> bool:
        """Whether the best engine that this machine can have serves, and none is being compiled."""
        return self._settled

    def open_first(self) -> None:
        """The best engine that is ready serves when this returns; none does while all have to be compiled.

        Raises EngineError with every reason when none can be opened.
        """
        while self._serving is None:
            step = self._next()
            if isinstance(step, Compile):
                return
            if not isinstance(step, Open):
                raise EngineError("; ".join((*self._problems, *self._reasons())) or "there is no engine")
            self._open(step.index)

    def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        compiling: threading.Thread | None = None
        while not stop.is_set():
            if self._switch.down.is_set():
                self._take_down()
            step = self._next()
            self._settled = step is None
            if step is None:
                stop.wait(LOOK_EVERY_S)
            elif isinstance(step, StartOver):
                if not stop.wait(START_OVER_AFTER_S):
                    with self._lock:
                        self._failures.clear()
            elif isinstance(step, Open):
                self._open(step.index)
            elif compiling is not None and compiling.is_alive():
                stop.wait(LOOK_EVERY_S)  # the engine that serves may fail meanwhile: this thread must look
            else:
                compiling = threading.Thread(
                    target=self._compile, args=(step.index, stop), name="engine-compile", daemon=True
                )
                compiling.start()
        if compiling is not None:
            compiling.join()

    def words(self) -> tuple[str, ...]:
        """What people should know, one sentence each; empty when the best engine serves."""
        name = self._switch.describe().name
        with self._lock:
            serving, busy, failures = self._serving, self._busy, dict(self._failures)
        words = list(self._problems)
        if self._switch.longest_s() > STUCK_AFTER_S:
            words.append(
                f"Engine {name} has not answered for more than {STUCK_AFTER_S:.0f} s; if its device hangs, "
                "only a restart of the agent helps"
            )
        instead = f"no engine serves ({self._switch.reason()})" if serving is None else f"{name} serves"
        if busy is not None:
            words.append(f"Building engine {self._candidates[busy].name}; meanwhile {instead}")
        for index, reason in sorted(failures.items()):
            if serving is None or index < serving:
                words.append(
                    f"Engine {self._candidates[index].name} does not serve: {reason}; instead {instead}"
                )
        if serving is None and busy is None and not failures:
            words.append(f"N{instead[1:]}")
        return tuple(words)

    def _next(self) -> Open | Compile | StartOver | None:
        standings = []
        for index, candidate in enumerate(self._candidates):
            failed = index in self._failures
            ready = index in self._compiled
            if not failed and not ready and (self._serving is None or index < self._serving):
                try:
                    ready = candidate.is_ready()
                except Exception as error:
                    self._fail(index, _reason(error))
                    failed = True
            standings.append(Standing(ready=ready, failed=failed))
        return next_step(standings, self._serving)

    def _open(self, index: int) -> None:
        candidate = self._candidates[index]
        self._busy_with(index)
        try:
            engine = candidate.open()
        except NotCompiled as error:
            if index in self._refused:
                self._fail(index, str(error))
            self._refused.add(index)
            self._compiled.discard(index)
            return
        except Exception as error:  # runtimes raise what they like; the next engine is still there
            self._fail(index, _reason(error))
            return
        finally:
            self._busy_with(None)
        with self._lock:
            self._serving = index
        self._switch.serve(engine)
        found = engine.describe()
        log.info(
            "engine_serves",
            engine=found.name,
            runtime=found.runtime,
            device=found.device,
            open_s=found.open_s,
            from_cache=found.from_cache,
        )

    def _compile(self, index: int, stop: threading.Event) -> None:
        candidate = self._candidates[index]
        self._busy_with(index)
        log.info("engine_building", engine=candidate.name)
        try:
            candidate.compile(lambda line: log.debug("engine_progress", engine=candidate.name, at=line), stop)
            self._compiled.add(index)
        except Exception as error:
            if not stop.is_set():
                self._fail(index, _reason(error))
        finally:
            self._busy_with(None)

    def _busy_with(self, index: int | None) -> None:
        with self._lock:
            self._busy = index

    def _take_down(self) -> None:
        self._switch.down.clear()
        with self._lock:
            index, self._serving = self._serving, None
        if index is not None:
            self._fail(index, f"{self._switch.reason()}; restart the agent to try it again")

    def _fail(self, index: int, reason: str) -> None:
        name = self._candidates[index].name
        log.error("engine_failed", engine=name, reason=reason)
        with self._lock:
            self._failed[name] += 1
            self._failures[index] = reason
            self._compiled.discard(index)

    def _reasons(self) -> list[str]:
        return [f"{self._candidates[index].name}: {reason}" for index, reason in self._failures.items()]


def _reason(error: Exception) -> str:
    """Our own errors say everything; of others the kind is often all there is."""
    return str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"


def make_serving(
    bundle: Bundle,
    wanted: settings.Engine,
    machine: Machine,
    *,
    folder: Path,
    switch: Switch,
) -> Serving:
    """The engines of one bundle on this machine, with its engine cache in `folder`."""
    choice = choose(machine, wanted)
    cache = EngineCache(folder, wanted.cache_max_bytes)
    candidates = [_candidate(kind, bundle, wanted, cache, folder, machine.gpu) for kind in choice.kinds]
    return Serving(candidates, switch, problems=choice.problems)


def _candidate(
    kind: Runtime, bundle: Bundle, wanted: settings.Engine, cache: EngineCache, folder: Path, gpu: Gpu | None
) -> Candidate:
    order = Order(
        kind=kind,
        bundle=bundle.path,
        bundle_sha256=bundle.sha256,
        wanted=wanted,
        folder=folder,
        max_bytes=wanted.cache_max_bytes,
        gpu=gpu,
    )

    def compile_(say: Callable[[str], None], stop: threading.Event) -> None:
        if kind.cached:
            compile_apart(order, say, stop)

    return Candidate(
        name=kind.name,
        is_ready=lambda: not kind.slow or is_compiled(kind, bundle, wanted, cache, gpu),
        open=lambda: open_runtime(
            kind, bundle, wanted, cache, gpu, may_build=not (kind.slow and kind.cached)
        ),
        compile=compile_,
    )
