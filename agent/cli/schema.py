"""`plumbline schema`: what the station promises to others."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.cli.terminal import say_json
from agent.schemas.contracts import Contract


def schema(what: Annotated[Contract, typer.Argument(help="which one")]) -> None:
    """Print a contract: a JSON Schema, or the AsyncAPI document of the whole."""
    from agent.schemas.printed import printed

    say_json(printed(what))
