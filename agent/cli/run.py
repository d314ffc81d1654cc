"""`plumbline run`: the agent."""

from __future__ import annotations

from pathlib import Path

from agent.cli.options import Config
from agent.cli.terminal import say


def run(config: Config) -> None:
    """The agent, until SIGTERM or Ctrl-C, or until every camera has come to its end."""
    from agent import logs
    from agent.app import build
    from agent.clock import SystemClock
    from agent.crew import Crew
    from agent.outbox.mended import run_mended
    from agent.settings import settings

    wanted = settings.load(config)
    logs.configure(wanted.logs, station=wanted.identity.station)
    run_mended(lambda crew: build(wanted, SystemClock(), crew).run(), Crew.stop_on_signals, SystemClock())
    _tell_what_waits(wanted.outbox.path)


def _tell_what_waits(outbox: Path) -> None:
    """A courtesy: the run has ended well, also where its file cannot be opened once more."""
    from agent.clock import SystemClock
    from agent.outbox.file import OutboxError, read_depth

    try:
        depth = read_depth(outbox, clock=SystemClock())
    except OutboxError as error:
        say(f"what waits cannot be told: {error}")
        return
    waits = [one for one in depth.readers if one.rows]
    if waits:
        places = ", ".join(f"{one.rows} for {one.name}" for one in waits)
        say(f"{outbox}: records wait, {places}; they are delivered at the next start")
