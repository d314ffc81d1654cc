"""The settings' file, and the files and folders that no other family looks at."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from agent.doctor import references
from agent.doctor.finding import Said, failed, note, ok, skipped, wrong
from agent.doctor.site import Site
from agent.errors import PlumblineError
from agent.remote.settings.in_force import apart
from agent.settings.problems import dotted

OF_OTHERS = frozenset(  # families
    {"bundle", "trust", "engine", "page", "outbox.path", "mqtt.tls", "mqtt.password_file"}
)


def file(site: Site) -> Iterator[Said]:
    if site.file is None:
        yield skipped("no settings file was named, and there is no /etc/plumbline/agent.yaml")
        return
    for problem in site.problems:
        yield failed(PlumblineError(problem), "correct the file; `plumbline validate` says all of it")
    if site.known is not None:
        yield ok(f"{site.file}: revision {site.known.revision}, digest {site.known.digest()[:12]}")
        if site.file.stat().st_mode & stat.S_IWOTH:
            yield wrong(f"{site.file}: every user of this machine can change it", f"chmod o-w {site.file}")


def in_force(site: Site) -> Iterator[Said]:
    """Whether the station runs by what the file says."""
    known, file = site.settings, site.file
    if file is None:
        return
    if words := apart(file):
        yield note(words, "`plumbline settings show` says them, `plumbline settings revert` goes back")
    else:
        yield ok(f"no others are kept than {file} says, revision {known.revision}")


def named(site: Site) -> Iterator[Said]:
    """Pictures, calibrations, drivers, folders and files of gateways."""
    found = [*references.problems(site.settings, lambda keys: dotted(keys) not in OF_OTHERS)]
    if site.file is not None and not os.access(site.file, os.R_OK):
        yield wrong(
            f"{site.file}: may not be read by the agent's user",
            f"`sudo chgrp plumbline {site.file}` and `sudo chmod 640 {site.file}`",
        )
    for keys, words in found:
        yield failed(PlumblineError(f"{dotted(keys)}: {words}"), "set another")
    if not found:
        yield ok("every file and folder that the settings name can be used")
