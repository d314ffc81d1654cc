"""What the device's commands print: text as it is. Brackets in a name are no markup, controls are escaped."""

from __future__ import annotations

import math

import typer
from rich.console import Console

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
