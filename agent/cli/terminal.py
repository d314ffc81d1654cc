"""What commands print: text as it is. Brackets in a name are no markup, controls are escaped."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agent.address import masked
from agent.errors import PlumblineError
from agent.foreign import shown

if TYPE_CHECKING:
    from rich.console import Console

UNCUT = 10_000  # columns, where no terminal has a width


def is_plain() -> bool:
    """Whether standard output gets text alone: no colour, no control codes, no line broken at a width."""
    if os.environ.get("NO_COLOR"):
        return True
    return not (sys.stdout.isatty() or os.environ.get("FORCE_COLOR"))


def console() -> Console:
    """For tables and progress, as standard output is now."""
    from rich.console import Console

    plain = is_plain()
    return Console(
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=False if plain else None,
        width=UNCUT if plain and "COLUMNS" not in os.environ else None,
    )


def say(line: str) -> None:
    """One line, not wrapped."""
    print(shown(line), flush=True)


def complain(line: str) -> None:
    """One line on standard error."""
    print(shown(line), file=sys.stderr)


def say_json(content: Any, *, indent: int | None = 2) -> None:
    """A JSON document, in ASCII; without `indent`, one line of JSON Lines."""
    print(json.dumps(content, indent=indent), flush=True)


def finite(value: float | None) -> float | None:
    """An option that is a number: bounds let `nan` pass, because it is neither below nor above them."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def must_be_there(path: Path | str, option: str, remedy: str, *, words: tuple[str, ...] = ()) -> None:
    """Said at once, before what is slow to import; `words` are no paths."""
    if str(path) not in words and not Path(path).exists():
        raise PlumblineError(f"{option} {masked(str(path))}: no such file or folder; {remedy}")
