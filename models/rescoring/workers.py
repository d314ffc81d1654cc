"""A run on one machine: in this process, or in several that share nothing.

`in_turn` is the plain twin of the others: each gives the rows of every part, as these are done.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeAlias

from agent.bundle.bundle import Bundle
from agent.errors import PlumblineError
from agent.remote.proof.low import DIE_WITH_PARENT
from models.rescoring.again import Judge, open_judge, rows_of_part
from models.rescoring.faults import RescoreError
from models.rescoring.plan import Part
from models.rescoring.row import Row

AHEAD = 2  # parts for each worker that wait or are judged

Done: TypeAlias = tuple[int, list[Row]]  # number of the part


def in_turn(parts: Iterable[Part], folders: Sequence[str], bundle: Bundle) -> Iterator[Done]:
    """Raises RescoreError, DeviceLost and OutOfMemory."""
    judge = open_judge(bundle)
    try:
        for part in parts:
            yield part.number, list(rows_of_part(part.files.to_pylist(), folders, judge))
    finally:
        judge.engine.close()


def by_processes(
    parts: Iterable[Part], folders: Sequence[str], bundle: Bundle, *, workers: int
) -> Iterator[Done]:
    """Raises RescoreError, also where a process was killed: finished parts stay."""
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),  # runtimes have threads, which a fork would lose
        initializer=_begin,
        initargs=(os.getpid(), bundle, tuple(folders)),
    )
    waiting: set[Future[Done]] = set()
    left = iter(parts)
    try:
        while True:
            waiting |= {
                pool.submit(_done, part.number, part.files.to_pylist())
                for part in islice(left, AHEAD * workers - len(waiting))
            }
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for one in done:
                yield one.result()
    except BrokenProcessPool:
        raise RescoreError(
            "a process that judged was killed, mostly for want of memory; finished parts stay: run the"
            " same command"
            " again, with fewer --workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_folders: tuple[str, ...] = ()
_bundle: Bundle | None = None
_judge: Judge | None = None


def _begin(parent: int, bundle: Bundle, folders: tuple[str, ...]) -> None:
    """In a process of the pool; what it cannot open is said with its first part."""
    global _folders, _bundle
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # it died before that call
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends the pool
    _folders, _bundle = folders, bundle


def _done(number: int, files: list[dict[str, Any]]) -> Done:
    global _judge
    assert _bundle is not None
    try:
        if _judge is None:
            _judge = open_judge(_bundle)
        return number, list(rows_of_part(files, _folders, _judge))
    except PlumblineError as error:  # some cannot pass from one process to another
        raise RescoreError(str(error)) from None
