"""`plumbline bench`: how fast this machine is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import Json
from agent.cli.terminal import console, finite, say_json


def bench(
    seconds: Annotated[
        float, typer.Option(min=1, max=3600, callback=finite, help="for each measurement")
    ] = 10.0,
    bundle: Annotated[Path | None, typer.Option(help="another model; default: the sample")] = None,
    as_json: Json = False,
) -> None:
    """Stage latencies and throughput on this machine."""
    from agent.clock import SystemClock
    from agent.demo.bench import measure, show
    from agent.demo.demo import SAMPLE_BUNDLE

    figures = measure(bundle or SAMPLE_BUNDLE, seconds, SystemClock())
    if as_json:
        say_json(figures)
    else:
        show(figures, console())
