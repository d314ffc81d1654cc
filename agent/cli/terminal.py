"""What the device's commands print: text as it is. Brackets in a name are no markup, controls are escaped."""

from __future__ import annotations

import math
from pathlib import Path

import typer
from rich.console import Console

from agent.address import masked
from agent.errors import PlumblineError
from agent.foreign import shown

console = Console(markup=False, highlight=False, emoji=False)


def say(line: str) -> None:
    """One line, not wrapped."""
    console.print(shown(line), soft_wrap=True)


def finite(value: float | None) -> float | None:
    """An option that is a number: bounds let `nan` pass, because it is neither below nor above them."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def must_be_there(path: Path, option: str, remedy: str) -> None:
    """Said at once, before what is slow to import."""
    if not path.exists():
        raise PlumblineError(f"{option} {masked(str(path))}: no such file or folder; {remedy}")
