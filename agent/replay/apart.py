"""A decision made once more, or explained, beside a running line: by a process that gives way to it.

This is the one way to it, for the command line, for commands of the MES and for the page.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from agent.explain.document import Explanation
from agent.foreign import shown
from agent.line.way import RightOfWay
from agent.remote.proof import low
from agent.replay.again import Order
from agent.replay.document import Answer, Replayed
from agent.replay.told import ReplayError

COMMAND = (sys.executable, "-m", "agent.replay")
TIMEOUT_S = 240.0
MAX_ANSWER_BYTES = 1_000_000
LAST_WORDS = 300  # characters

A = TypeVar("A", Replayed, Explanation)

_PROJECT = Path(__file__).parents[2]  # `-m` finds this very package there


def replay_apart(
    order: Order,
    *,
    timeout_s: float = TIMEOUT_S,
    way: RightOfWay | None = None,
    command: Sequence[str] = COMMAND,
) -> Replayed:
    """What `replay` finds. It dies with the calling thread, and stands still while lines of `way` judge.

    Raises ReplayError with the one reason why there is none: what the process says, its end, or its time.
    """
    return _there(_answer(order, timeout_s=timeout_s, way=way, command=command).replayed)


def explain_apart(
    order: Order,
    *,
    timeout_s: float = TIMEOUT_S,
    way: RightOfWay | None = None,
    command: Sequence[str] = COMMAND,
) -> Explanation:
    """What `explain` finds of an order whose task that is; as `replay_apart` in everything else."""
    return _there(_answer(order, timeout_s=timeout_s, way=way, command=command).explained)


def _there(found: A | None) -> A:
    if found is None:
        raise ReplayError("its process did something else than it was told; check the installation")
    return found


def _answer(order: Order, *, timeout_s: float, way: RightOfWay | None, command: Sequence[str]) -> Answer:
    cores = str(low.cores(len(os.sched_getaffinity(0))))
    with subprocess.Popen(  # noqa: S603 - this very package
        [*command, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=_PROJECT,
        env={**os.environ, "OMP_NUM_THREADS": cores},
    ) as process:
        try:
            with (RightOfWay() if way is None else way).gives_way(process.pid):
                said, last_words = process.communicate(
                    order.model_dump_json(by_alias=True).encode(), timeout=timeout_s
                )
        except subprocess.TimeoutExpired:
            raise ReplayError(
                f"it was not done after {timeout_s:g} s and was ended; try it when the machine has less to do"
            ) from None
        finally:
            process.kill()
    try:
        answer = Answer.model_validate_json(said[:MAX_ANSWER_BYTES], strict=True)
    except ValidationError:
        lines = last_words.decode(errors="replace").strip().splitlines()
        told = f": {shown(lines[-1])[:LAST_WORDS]}" if lines else ""
        raise ReplayError(f"its process ended with {process.returncode}{told}") from None
    if answer.problem is not None or answer == Answer():
        raise ReplayError(answer.problem or "its process said nothing")
    return answer
