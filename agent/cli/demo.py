"""`plumbline demo`: the whole product on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from agent.cli.terminal import console, finite

MONTH_S = 31 * 86_400


def demo(
    duration: Annotated[
        float | None, typer.Option(min=1, max=MONTH_S, callback=finite, help="seconds; default: until Ctrl-C")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="the page's port; 0 takes a free one")] = 8080,
    bundle: Annotated[Path | None, typer.Option(help="another model; default: the sample")] = None,
    camera: Annotated[
        Literal["linescan-sim", "gige"], typer.Option(help="gige: the same cells over GigE Vision")
    ] = "linescan-sim",
) -> None:
    """The whole product on this machine: simulated line camera, embedded broker, page."""
    from agent import logs
    from agent.clock import SystemClock
    from agent.crew import Crew
    from agent.demo.demo import SAMPLE_BUNDLE, build_demo
    from agent.demo.report import show

    crew = Crew()
    crew.stop_on_signals()
    built = build_demo(
        page_port=port,
        bundle=bundle or SAMPLE_BUNDLE,
        over_gige=camera == "gige",
        clock=SystemClock(),
        crew=crew,
    )
    logs.configure(built.logs)
    show(built, console(), duration)
