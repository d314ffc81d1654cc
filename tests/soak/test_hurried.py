"""The clock of a day that is played in less: as fast as it should be, set off on cue, and read back."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.soak.hurried import LAYOUT, DayClock, _wall

DOUBT_S = 1.9  # a step of 90 s is said twice within so long
NOW = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


@dataclass
class Monotonic:
    now_s: float = 5000.0

    def __call__(self) -> float:
        return self.now_s


class Played:
    """A day of 24 hours in 30 minutes, and what an agent would read."""

    def __init__(self, path: Path) -> None:
        self.real = Monotonic()
        self.clock = DayClock(path, minutes=30, hours=24, monotonic_s=self.real)
        self.clock.begin(NOW)
        with path.open("rb") as file:
            self._shared = mmap.mmap(file.fileno(), LAYOUT.size, access=mmap.ACCESS_READ)

    def says(self, elapsed_s: float) -> datetime:
        self.real.now_s = 5000.0 + elapsed_s
        return _wall(self._shared, self.real.now_s)


@pytest.fixture
def played(tmp_path: Path) -> Played:
    return Played(tmp_path / "clock")


def test_a_day_passes_in_half_an_hour_and_ends_when_the_real_one_does(played: Played) -> None:
    begins = NOW + timedelta(minutes=30) - timedelta(hours=24)
    assert played.says(0) == begins
    assert played.says(75) == begins + timedelta(hours=1)
    assert played.clock.hour_at(75) == pytest.approx(1)
    assert played.says(1800) == NOW + timedelta(minutes=30)
    assert played.says(1860) == NOW + timedelta(minutes=31), "from then on it is not hurried"
    assert played.clock.hour_at(1860) == 24


def test_somebody_sets_it_off_and_back(played: Played) -> None:
    plain = played.says(100)
    played.clock.set_off(7200)
    assert played.says(100) == plain + timedelta(hours=2)
    played.clock.set_off(0)
    assert played.says(100) == plain


@pytest.mark.parametrize("step_s", [7200.0, -3600.0, 400 * 86_400.0, -90.0])
def test_what_it_said_is_read_back_as_the_moment_at_which_it_did(played: Played, step_s: float) -> None:
    moments = {elapsed_s: played.says(elapsed_s) for elapsed_s in (10, 99)}
    played.says(100)
    played.clock.set_off(step_s)
    moments |= {elapsed_s: played.says(elapsed_s) for elapsed_s in (100.5, 105)}
    played.says(106)
    played.clock.set_off(0)
    moments |= {elapsed_s: played.says(elapsed_s) for elapsed_s in (106.5, 260, 1799, 1900)}
    near_s = 0.0
    for elapsed_s, said in moments.items():
        near_s = played.clock.elapsed_at(said, near_s=near_s)
        assert near_s == pytest.approx(elapsed_s, abs=DOUBT_S)


def test_what_it_never_said_is_where_one_was(played: Played) -> None:
    assert played.clock.elapsed_at(NOW - timedelta(days=30), near_s=12.0) == 12.0
