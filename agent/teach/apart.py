"""The flow's steps beside a running line: in a process of lowest priority, which gives way to it.

It is killed to be cancelled: every step of the flow bears that at any instruction.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from agent.line.way import RightOfWay
from agent.remote.proof import low
from agent.teach.flow import LookedAtError
from agent.teach.hearing import last_line, lines_of
from agent.teach.order import Order, Said
from agent.teach.source import TeachError
from agent.teach.state import Told

COMMAND = (sys.executable, "-m", "agent.teach")
MAX_LINE_BYTES = 20_000

_PROJECT = Path(__file__).parents[2]  # `-m` finds this very package there


def teach_apart(order: Order, *, way: RightOfWay, command: Sequence[str] = COMMAND) -> Iterator[Told | None]:
    """How far it is, and None whenever nothing was heard for a moment; it is dead once this is closed.

    It dies with the thread that calls this, and stands still while lines of `way` judge. Raises LookedAtError
    where a person has to decide, TeachError with the one reason why a step is not done.
    """
    cores = str(low.cores(len(os.sched_getaffinity(0))))
    handle = os.memfd_create("last-words", os.MFD_CLOEXEC)  # a pipe would hold it up where nobody reads
    with os.fdopen(handle, "w+b") as last_words:
        process = subprocess.Popen(  # noqa: S603 - this very package
            [*command, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=last_words,
            cwd=_PROJECT,
            env={**os.environ, "OMP_NUM_THREADS": cores},
        )
        with process:
            try:
                with way.gives_way(process.pid):
                    _order(process, order)
                    for said in _heard(process):
                        if said is not None and said.ended != "no":
                            return _end(said)
                        yield None if said is None else _told(said)
            finally:
                process.kill()
        raise TeachError(f"its process ended with {process.returncode}{last_line(last_words)}")


def _order(process: subprocess.Popen[bytes], order: Order) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it died; what it said last is told
        process.stdin.write(order.model_dump_json(by_alias=True).encode())
    with suppress(BrokenPipeError):
        process.stdin.close()


def _heard(process: subprocess.Popen[bytes]) -> Iterator[Said | None]:
    """Until it says nothing more; None for each moment of silence. Raises TeachError for what nobody says."""
    assert process.stdout is not None
    too_much = TeachError("its process said more than it can; go on again")
    for line in lines_of(process.stdout, MAX_LINE_BYTES, too_much):
        try:
            yield None if line is None else Said.model_validate_json(line, strict=True)
        except ValidationError:
            raise TeachError("its process said what it cannot say; go on again") from None


def _end(said: Said) -> None:
    if said.ended == "look":
        raise LookedAtError(said.words)
    if said.ended == "problem":
        raise TeachError(said.words)


def _told(said: Said) -> Told:
    return Told(step=said.step, done=said.done, of=said.of, words=said.words)
