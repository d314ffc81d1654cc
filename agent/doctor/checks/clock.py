"""The wall clock, which every verdict, certificate and command is dated by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from agent.clock import rfc3339
from agent.doctor.finding import Said, note, ok, skipped, wrong
from agent.doctor.site import Site

EARLIEST = 2026
LATEST = 2100
AHEAD = timedelta(days=1)
SET = (
    "set it (`sudo timedatectl set-time`), or name a time server of the plant in /etc/systemd/timesyncd.conf"
)


def synchronised(site: Site) -> Iterator[Said]:
    synced = site.machine.clock.synced()
    if synced is None:
        yield skipped("the kernel does not tell")
    elif synced:
        yield ok("a time server keeps it right")
    else:
        yield note(
            "nothing keeps it right: verdicts drift from the plant's time, commands seem expired",
            "name the plant's time server in /etc/systemd/timesyncd.conf; `timedatectl` shows if it helps",
        )


def date(site: Site) -> Iterator[Said]:
    now = site.machine.clock.utc_now()
    if not EARLIEST <= now.year < LATEST:
        yield wrong(f"it says {rfc3339(now)}; the battery of this machine's clock may be empty", SET)
        return
    if site.file is not None and site.known is not None:
        written = datetime.fromtimestamp(site.file.stat().st_mtime, timezone.utc)
        if written - now > AHEAD:
            yield wrong(f"it says {rfc3339(now)}, and the settings were written on {rfc3339(written)}", SET)
            return
    yield ok(f"it says {rfc3339(now)}")


def zone(site: Site) -> Iterator[Said]:
    place = site.machine.root / "etc/localtime"
    if not os.path.lexists(place):
        yield note(
            "no time zone is set, people see UTC here",
            "`sudo timedatectl set-timezone Europe/Berlin`, or yours",
        )
    elif not place.is_file():
        yield wrong(
            f"{place} leads to a zone that is not installed, so that people see UTC here",
            "install tzdata, or `sudo timedatectl set-timezone` to one that is there",
        )
    else:
        name = (
            str(place.resolve()).rpartition("zoneinfo/")[2] if place.is_symlink() else "of a file of its own"
        )
        yield ok(f"{name}; whatever the station sends and records is in UTC")
