"""`plumbline doctor`: does the checks one after the other, and none can keep the others from being done."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from agent.doctor.check import Check
from agent.doctor.checks.table import CHECKS
from agent.doctor.finding import Finding, Said, failed, finding, skipped, wrong
from agent.doctor.machine import Machine
from agent.doctor.site import NoSettingsError, Site
from agent.errors import PlumblineError
from agent.settings.settings import Settings

REPORT = "report it, with these words"


def findings(settings: Settings, machine: Machine) -> tuple[Finding, ...]:
    """All that is found of a station with these settings on this machine; takes seconds."""
    return tuple(look(Site(machine=machine, known=settings), CHECKS))


def look(site: Site, checks: Iterable[Check]) -> Iterator[Finding]:
    """What each check finds, as it is found."""
    for check in checks:
        for said in _bounded(check, site):
            yield finding(check.family, check.name, said)


def _bounded(check: Check, site: Site) -> list[Said]:
    """What it says within its time; one that hangs is left behind in its thread."""
    said: list[Said] = []
    thread = threading.Thread(target=_do, args=(check, site, said), name="doctor", daemon=True)
    thread.start()
    thread.join(check.within_s)
    told = list(said)
    if thread.is_alive():
        told.append(wrong(f"did not end within {check.within_s:g} s", "see what it looks at: it hangs"))
    return told


def _do(check: Check, site: Site, said: list[Said]) -> None:
    try:
        for one in check.look(site):
            said.append(one)
    except NoSettingsError:
        if site.problems:  # else the machine alone is looked at
            said.append(skipped("the settings cannot be used"))
    except PlumblineError as error:
        said.append(failed(error, REPORT))
    except Exception as error:
        said.append(wrong(f"the check itself failed: {type(error).__name__}: {error}", REPORT))
