"""The doctor of a running station, for whoever asks it from afar; the line comes first."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress

from agent.doctor.machine import Machine
from agent.doctor.site import Site
from agent.remote.commands.station import Found
from agent.settings.settings import Settings

NICENESS = 10  # of the thread that looks, and of those that it starts


class StationDoctor:
    """Of the settings in force."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def families(self) -> Sequence[str]:
        from agent.doctor.checks.table import FAMILIES  # what they look at is loaded when it is asked for

        return FAMILIES

    def look(self, family: str | None) -> Iterator[Found]:
        """What each check says; in a thread of its own, whose priority it lowers."""
        from agent.doctor.checks.table import CHECKS
        from agent.doctor.doctor import look

        with suppress(OSError):  # not Linux, or not allowed
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        site = Site(machine=Machine(), known=self._settings, runs=True)
        for one in look(site, [check for check in CHECKS if family in (None, check.family)]):
            yield Found(
                family=one.family, check=one.check, state=one.state, words=one.words, remedy=one.remedy
            )
