"""Compiling in a process of its own, at low priority: the line keeps its memory and its cores."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event

from agent.bundle.bundle import Bundle, open_bundle
from agent.engines.cache import EngineCache
from agent.engines.engine import EngineError
from agent.engines.gpu.device import Gpu
from agent.engines.open import open_runtime
from agent.engines.table import Runtime
from agent.settings import settings

NICENESS = 15
TIMEOUT_S = 3600.0
LOOK_EVERY_S = 0.2
DIE_WITH_PARENT = 1  # prctl(2), PR_SET_PDEATHSIG


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the other process is to compile, and where it leaves it."""

    kind: Runtime
    bundle: Path
    bundle_sha256: str
    wanted: settings.Engine
    folder: Path
    max_bytes: int
    gpu: Gpu | None


def compile_apart(order: Order, say: Callable[[str], None], stop: Event) -> None:
    """Until the engine is in the cache and has proven itself there; `say` hears of the progress.

    Raises EngineError with the reason when it is not: also when the process was killed, took longer than
    TIMEOUT_S, or was told to stop.
    """
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, order), name="plumbline-compile", daemon=True)
    process.start()
    theirs.close()
    try:
        _follow(order.kind.name, ours, process, say, stop)
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        process.close()
        ours.close()


def _follow(
    name: str,
    messages: Connection,
    process: multiprocessing.context.SpawnProcess,
    say: Callable[[str], None],
    stop: Event,
) -> None:
    ends = time.monotonic() + TIMEOUT_S
    while True:
        if messages.poll(LOOK_EVERY_S):
            try:
                what, words = messages.recv()
            except EOFError:
                process.join()
                raise EngineError(
                    f"compiling {name} ended with exit code {process.exitcode}; -9 is mostly lack of memory: "
                    "lower engine.workspace_bytes, close other programs"
                ) from None
            if what == "done":
                return
            if what == "failed":
                raise EngineError(words)
            say(words)
        elif stop.is_set():
            raise EngineError(f"compiling {name} was interrupted: the agent stops")
        elif time.monotonic() > ends:
            raise EngineError(f"compiling {name} took longer than {TIMEOUT_S:.0f} s and was ended")


def _work(messages: Connection, order: Order) -> None:
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the agent's to hear
    os.nice(NICENESS)
    try:
        _compile(order, lambda line: messages.send(("line", line)))
    except Exception as error:
        messages.send(("failed", str(error)))
    else:
        messages.send(("done", ""))


def _compile(order: Order, say: Callable[[str], None]) -> None:
    bundle: Bundle = open_bundle(order.bundle)
    if bundle.sha256 != order.bundle_sha256:
        raise EngineError(f"{order.bundle}: was exchanged meanwhile; restart the agent")
    cache = EngineCache(order.folder, order.max_bytes)
    open_runtime(order.kind, bundle, order.wanted, cache, order.gpu, say).close()
    if cache.trouble is not None:
        raise EngineError(cache.trouble)
