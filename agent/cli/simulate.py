"""`plumbline simulate`: the command; the day it plays stands in `agent/demo/station.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.exit_codes import NotGood
from agent.cli.terminal import finite, say
from agent.errors import PlumblineError

MAX_SEED = (1 << 63) - 1


def simulate(
    hours: Annotated[
        float,
        typer.Option(min=0.001, max=744, callback=finite, help="of production, from the first shift on"),
    ] = 24.0,
    speed: Annotated[
        float, typer.Option(min=1, max=1e6, callback=finite, help="how many times faster than life")
    ] = 600.0,
    cameras: Annotated[int, typer.Option(min=1, max=16, help="how many")] = 2,
    rate_hz: Annotated[
        float, typer.Option(min=0.001, max=10_000, callback=finite, help="parts a second at full speed")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="the same day for the same seed")] = 0,
    host: Annotated[str, typer.Option(help="of the broker")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="of the broker")] = 1883,
    site: Annotated[str, typer.Option(help="in the topics")] = "site",
    area: Annotated[str, typer.Option(help="in the topics")] = "area",
    line: Annotated[str, typer.Option(help="in the topics")] = "line",
    station: Annotated[str, typer.Option(help="also the MQTT client id")] = "simulated",
    outbox: Annotated[
        Path | None, typer.Option(help="keep what waits, and go on from it; default: a temporary file")
    ] = None,
) -> None:
    """A day of verdicts for a broker or an MES, without camera or model; every one says is_simulated."""
    from pydantic import ValidationError

    from agent.clock import SystemClock
    from agent.crew import Crew
    from agent.demo.day import day
    from agent.demo.station import simulate as play
    from agent.settings import settings

    try:
        identity = settings.Identity(site=site, area=area, line=line, station=station)
    except ValidationError as error:
        first = error.errors()[0]
        raise PlumblineError(
            f"{first['loc'][0]}: {first['input']!r} cannot stand in a topic; use 1 to 64 of a-z, 0-9, _ and -"
        ) from error
    try:
        broker = settings.Mqtt(host=host, port=port)
    except ValidationError as error:
        raise PlumblineError("--host: is no host name or IP address; give the broker's, alone") from error
    crew = Crew()
    crew.stop_on_signals()
    names = tuple(f"cam{number}" for number in range(1, cameras + 1))
    with tempfile.TemporaryDirectory(prefix="plumbline-simulate-") as folder:
        path = outbox or Path(folder) / "outbox.sqlite3"
        played = play(
            day(seed, hours=hours, cameras=names, rate_hz=rate_hz),
            station=settings.Settings(
                identity=identity,
                mqtt=broker,
                outbox=settings.Outbox(path=path, min_free_bytes=0),
            ),
            hours=hours,
            speed=speed,
            seed=seed,
            clock=SystemClock(),
            stop=crew.stop,
        )
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(played.verdicts.items()))
    say(f"{sum(played.verdicts.values())} verdicts: {counts or 'none'}; {played.crops} crops")
    say(f"sequence {played.first_sequence} to {played.last_sequence}, {played.waiting} rows waiting")
    if played.waiting:
        where = "are lost with the temporary outbox" if outbox is None else f"stay in {outbox}"
        raise NotGood(
            f"{host}:{port}: the broker has not taken all rows; they {where}; "
            "check --host and --port, and that the broker runs"
        )
