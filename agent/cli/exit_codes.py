"""How commands end: one table for both programs, and the words for it in their help."""

from __future__ import annotations

from enum import IntEnum

from agent.errors import PlumblineError


class ExitCode(IntEnum):
    """What a script can tell from the end of a command."""

    DONE = 0
    NOT_GOOD = 1
    WRONG = 2
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "done, and all is well",
    ExitCode.NOT_GOOD: "done, and what was looked at is not good, or not all of it could be done",
    ExitCode.WRONG: "not done: an argument, a setting or a file is wrong, which one line on stderr says",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
    ExitCode.PIPE_CLOSED: "whoever read the output has gone, as behind `| head -1`",
}


class NotGood(PlumblineError):
    """What was looked at is not good: the command did its work and ends with 1."""


def exits(not_good: str | None = None) -> str:
    """The line in a command's help; `not_good` says when it ends with 1."""
    told = [f"{ExitCode.DONE:d} done"]
    if not_good is not None:
        told.append(f"{ExitCode.NOT_GOOD:d} {not_good}")
    told.append(f"{ExitCode.WRONG:d} wrong argument, setting or file")
    return f"Exit codes: {'; '.join(told)}."


def exits_of_program() -> str:
    """The whole table in one line, for the help of a program."""
    return f"Exit codes: {'; '.join(f'{code:d} {words}' for code, words in MEANINGS.items())}."
