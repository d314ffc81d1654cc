"""A short day in which everything befalls the station once; `make soak` plays a long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.lifted import lifted
from tests.gige.aravis import needs_aravis
from tests.soak.day import play, undoable
from tests.soak.plan import KINDS, each_once
from tests.soak.told import table

MINUTES, HOURS = 1.0, 0.2  # 12 times as fast: two parts a second, for a machine that has more to do


@needs_aravis
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_short_day_with_each_mishap_closes_its_ledger(tmp_path: Path) -> None:
    without = undoable(tmp_path)
    with lifted():
        day = play(tmp_path, each_once(0, without=without), minutes=MINUTES, hours=HOURS, is_warm=True)
    print(table(day, without=without))
    assert {one.kind for one in day.befell} == set(KINDS) - set(without)
    assert day.faults == ()
    assert day.account.committed > 20 and day.account.parts > 0
    assert day.account.events["rollout_committed"] == day.account.events["rollout_refused"] == 1
