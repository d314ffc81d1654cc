"""A day that was played, as people get it: a table and a picture."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import pytest

from tests.soak.account import Befell, Event, close
from tests.soak.day import Day
from tests.soak.flat import growths
from tests.soak.picture import draw, p99_by_hour
from tests.soak.test_account import record
from tests.soak.told import table
from tests.soak.watch import Sample

MINUTES, HOURS = 30.0, 24.0
DAY_S = MINUTES * 60


def played(*, leak_mb: float = 0.0) -> Day:
    """Four hours without a record, a death in the first hour, and a mishap beside it."""
    records = [
        record(number, at_s=at_s, recorded_ms=5.0 + (number % 100 == 0) * 40)
        for number, at_s in enumerate((at_s for at_s in range(1800) if not 300 <= at_s < 600), 1)
    ]
    samples = [
        Sample(
            at_s=float(at_s), life=int(at_s > 60), rss_mb=180 + leak_mb * at_s / DAY_S, threads=40, handles=60
        )
        for at_s in range(0, 1800, 3)
    ]
    befell = (
        Befell(kind="agent killed", began_s=60.0, ended_s=64.0),
        Befell(kind="broker restarted", began_s=700.0, ended_s=720.0),
    )
    events = [Event(name="no_subscriber", at_s=710.0, detail="")]
    account = close(len(records), records, [], events, crops_kept=0, befell=befell)
    return Day(
        hours=HOURS,
        minutes=MINUTES,
        account=account,
        befell=befell,
        samples=tuple(samples),
        growths=tuple(growths(samples, day_s=DAY_S)),
        records=tuple(records),
        healed=0,
        faults=account.faults,
    )


def test_p99_is_by_hour_and_an_hour_without_records_has_none() -> None:
    found = p99_by_hour(played())
    assert len(found) == 24
    assert [math.isnan(one) for one in found] == [4 <= hour < 8 for hour in range(24)]
    assert max(one for one in found if one == one) > 5


def test_the_table_says_what_was_lost_and_what_each_long_life_took_more() -> None:
    words = table(played(leak_mb=40), without=("disk full",))
    assert "1500; 0; 0" in words and "1 agent killed, 1 broker restarted" in words
    assert "left out, for want of root | disk full" in words
    assert "life 2, 23.1 hours" in words and "MB (+" in words
    assert "not as it should be, unexplained included | 1" in words


def test_a_day_complains_of_memory_alone_where_all_else_is_well() -> None:
    assert played().complaints() == []
    (one,) = played(leak_mb=40).complaints()
    assert one.startswith("life 2: memory grew from")


@pytest.mark.slow
def test_the_picture_is_one_for_people(tmp_path: Path) -> None:
    draw(played(leak_mb=20), tmp_path / "day.png")
    picture = cv2.imread(str(tmp_path / "day.png"))
    assert picture is not None and picture.shape[0] > 800 and picture.shape[1] > 1000
    assert picture.std() > 10
    assert (tmp_path / "day.png").stat().st_size < 300_000
