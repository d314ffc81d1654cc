"""`plumbline schema`: what the station promises to others."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from agent.cli.terminal import say_json


def schema(
    what: Annotated[
        Literal[
            "settings",
            "verdict",
            "event",
            "mark",
            "head",
            "actuation",
            "part",
            "status",
            "metrics",
            "command",
            "signed-command",
            "reported",
            "desired-settings",
            "desired-bundle",
            "asyncapi",
        ],
        typer.Argument(help="which one"),
    ],
) -> None:
    """Print a contract: a JSON Schema, or the AsyncAPI document of the whole."""
    from agent.schemas.printed import printed

    say_json(printed(what))
