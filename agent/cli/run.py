"""`plumbline run`: the agent."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

from agent.cli.exit_codes import NotGood
from agent.cli.options import Config
from agent.cli.terminal import say
from agent.errors import PlumblineError


def run(config: Config) -> None:
    """The agent, until SIGTERM or Ctrl-C, or until every camera has come to its end.

    SIGHUP has it read its settings anew. Settings, bundle or a folder that are wrong end it with 2, which
    starting it again does not change; with 1 ends what another start may mend.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there are settings to be read anew
    gc.disable()  # nothing of what is imported goes again
    from agent import crashes
    from agent.app import build
    from agent.bundle.files import BundleError
    from agent.bundle.trust import NotTrusted
    from agent.clock import SystemClock
    from agent.doctor import references
    from agent.outbox.place import PlaceError
    from agent.remote.settings import in_force
    from agent.remote.settings.desk import SettingsDesk
    from agent.service import Service
    from agent.settings import settings
    from agent.settings.places import first_folder
    from agent.systemd import manager_of

    gc.freeze()  # nor is it looked through again, which held up every thread for 50 ms
    gc.enable()
    clock = SystemClock()
    desk = SettingsDesk(in_force.state_folder(config), in_force.ways(config), clock)
    service = Service(
        wanted=desk,
        build=lambda wanted, crew, service: build(
            wanted,
            clock,
            crew,
            manager=service.manager,
            refused=service.words,
            look=references.problems,
            takers={"config": lambda document, base: desk.offer(document)},
            wishes=desk,
            inbox=desk.inbox,
            changes=desk.changes,
            history=desk,
            told=desk.again,
            settings_state=desk.state,
        ),
        manager=manager_of(os.environ, pid=os.getpid()),
        clock=clock,
        logs_folder=first_folder(os.environ.get("LOGS_DIRECTORY")),
    )
    desk.wakes(service.wake)
    crashes.say()
    service.handle_signals()
    try:
        wanted = service.run()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # there is nothing left to reload
    except (settings.SettingsError, BundleError, NotTrusted, PlaceError):
        raise
    except PlumblineError as error:
        raise NotGood(str(error)) from error
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
