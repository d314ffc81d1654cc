"""The workshop beside this program: whether it is here, and its run, which gives way to a line and to people.

It is asked by its command line and told nothing else; what it says is `contract/taught.py`. Its checkpoints
lie in its own folder: it is ended at any instruction, by us or by anybody, and goes on from there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import ValidationError

from agent.contract.taught import LINE, Far, Made, Planned
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.line.way import RightOfWay
from agent.remote.proof import low
from agent.teach.hearing import LAST_WORDS, LOOK_S, last_line, lines_of

PROGRAM = "plumbline-lab"
HOW_TO = 'pip install "plumbline[lab]" into the environment of plumbline itself'
LAUNCH = (sys.executable, "-m", "agent.teach.launch")
GRACE_S = 5.0  # in which it ends when it is asked
EXIT_S = 120.0  # in which it ends once it has said all
MAX_LINE_BYTES = 2_000_000

_PROJECT = Path(__file__).parents[2]

Preset: TypeAlias = Literal["nano", "edge"]
Heard: TypeAlias = Planned | Far | Made
Hearing: TypeAlias = Generator[Heard | None, None, None]  # None: nothing was said for a moment


class WorkshopError(PlumblineError):
    """Why it made no bundle; what it has done is kept, and gone on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A bundle of the pictures in `data`; `out` is the folder of this run alone."""

    data: Path
    out: Path
    name: str
    preset: Preset
    minutes: float
    target: float


def find(interpreter: str = sys.executable) -> Path:
    """The workshop's program. Raises WorkshopError where it is not installed here."""
    program = Path(interpreter).with_name(PROGRAM)
    if not os.access(program, os.X_OK):
        raise WorkshopError(f"the workshop is not installed here: no {shown(str(program))}; {HOW_TO}")
    return program


def train(
    wanted: Wanted,
    program: Path,
    *,
    way: RightOfWay,
    launch: Sequence[str] = LAUNCH,
    grace_s: float = GRACE_S,
) -> Hearing:
    """What it says; it is dead once this is closed.

    It dies with the thread that calls this, and stands still while lines of `way` judge. Raises
    WorkshopError with the one reason why there is no bundle; the last of what it yields else is Made.
    """
    cores = str(low.cores(len(os.sched_getaffinity(0))))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), cores)
    handle = os.memfd_create("last-words", os.MFD_CLOEXEC)  # a pipe would hold it up where nobody reads
    with os.fdopen(handle, "w+b") as last_words:
        try:
            process = subprocess.Popen(  # noqa: S603 - a program of this very project
                [*launch, str(os.getpid()), str(program), *_arguments(wanted)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=last_words,
                cwd=_PROJECT,
                env={**os.environ, **threads},
            )
        except OSError as error:
            raise WorkshopError(f"{shown(str(program))}: not started ({error.strerror})") from error
        made = False
        with process:
            try:
                with way.gives_way(process.pid):
                    for one in _heard(process):
                        made = made or isinstance(one, Made)
                        yield one
                    yield from _ending(process)
            finally:
                _end(process, grace_s)
        if not made:
            raise WorkshopError(_why(process.returncode, last_line(last_words, PROGRAM)))


def _arguments(wanted: Wanted) -> list[str]:
    return [
        *("teach", str(wanted.data), "--json", "--out", str(wanted.out), "--name", wanted.name),
        *("--preset", wanted.preset, "--minutes", f"{wanted.minutes:g}"),
        *("--target-frr", f"{wanted.target:g}"),
    ]


def _heard(process: subprocess.Popen[bytes]) -> Iterator[Heard | None]:
    """Until it says nothing more; None for each moment of silence. Raises WorkshopError for nonsense."""
    assert process.stdout is not None
    too_much = WorkshopError("the workshop said more than it can; is it of this version?")
    for line in lines_of(process.stdout, MAX_LINE_BYTES, too_much):
        try:
            yield None if line is None else LINE.validate_json(line)
        except ValidationError:
            said = shown((line or b"")[:LAST_WORDS].decode(errors="replace"))
            raise WorkshopError(
                f"the workshop said what it cannot say, {said}; is it of this version?"
            ) from None


def _ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """It says nothing more; beside a busy line its end takes a while."""
    for _ in range(round(EXIT_S / LOOK_S)):
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_S)
            return
        yield None


def _end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """It and all that it has started: asked first, then killed."""
    _send(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
    _send(process, signal.SIGKILL)


def _send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To its group, whose number is its own as soon as it has lowered itself."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
        return
    if process.poll() is None:
        process.send_signal(number)


def _why(code: int, last: str) -> str:
    if code == -signal.SIGKILL:
        return (
            "the workshop was killed from outside, most likely because memory ran out; what it has done is "
            "kept: free memory or train nano, then go on"
        )
    if code == 0:
        return f"the workshop ended without a bundle{last}; go on again"
    return f"the workshop ended with {code}{last}; what it has done is kept, and gone on with"
