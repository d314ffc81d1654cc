"""The wall clock: kept right, plausible, and in a zone that is there."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.doctor.checks import clock
from tests.agent.doctor.sites import at, machine, site, states, told, write


@pytest.mark.parametrize(("synced", "found"), [(True, "ok"), (False, "note"), (None, "skipped")])
def test_a_clock_that_nothing_keeps_right_is_noted(tmp_path: Path, synced: bool | None, found: str) -> None:
    assert states(clock.synchronised, site(tmp_path, on=at(ManualClock(synced=synced), tmp_path))) == [found]


@pytest.mark.parametrize(("year", "found"), [(2027, "ok"), (1970, "wrong"), (2199, "wrong")])
def test_a_year_that_cannot_be_is_wrong(tmp_path: Path, year: int, found: str) -> None:
    now = ManualClock(datetime(year, 5, 1, tzinfo=timezone.utc))
    one = site(tmp_path, on=at(now, tmp_path))
    os.utime(tmp_path / "agent.yaml", (0, 0))
    assert states(clock.date, one) == [found]


def test_settings_that_were_written_in_days_to_come_tell_of_a_clock_that_fell_back(tmp_path: Path) -> None:
    one = site(tmp_path, on=at(ManualClock(datetime(2026, 5, 1, tzinfo=timezone.utc)), tmp_path))
    later = datetime(2026, 5, 4, tzinfo=timezone.utc).timestamp()
    os.utime(tmp_path / "agent.yaml", (later, later))
    assert "the settings were written on 2026-05-04" in told(clock.date, one, "wrong").words


def test_a_zone_that_is_set_is_named_one_that_is_not_is_noted(tmp_path: Path) -> None:
    assert states(clock.zone, site(tmp_path)) == ["note"]
    zone = write(tmp_path, "usr/share/zoneinfo/Europe/Berlin", "TZif")
    (tmp_path / "root" / "etc").mkdir()
    (tmp_path / "root" / "etc" / "localtime").symlink_to(zone)
    assert told(clock.zone, site(tmp_path), "ok").words.startswith("Europe/Berlin; ")
    zone.unlink()
    assert states(clock.zone, site(tmp_path, on=machine(tmp_path))) == ["wrong"]
