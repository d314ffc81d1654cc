"""On the shipped pictures: light that changes is told from parts that are worse."""

from __future__ import annotations

import pytest

from tests.agent.drift.cells import Change, Judge, blurred, darker, kinds_of, lifted, pictures

GOOD, SHOWN, DEFECTIVE = 130, 64, 80


@pytest.mark.slow
def test_each_change_of_real_parts_is_told_by_its_own_name() -> None:
    judge = Judge.open()
    good = pictures("test/good")
    first = [judge.taken(path) for path in good[:240]]
    later = good[240 : 240 + SHOWN]

    def told(change: Change) -> list[str]:
        return kinds_of(GOOD, [*first[:160], *(judge.taken(path, change) for path in later)])

    assert kinds_of(GOOD, first) == []
    assert told(darker) == ["light_changed"]
    assert told(lifted) == ["light_changed"]
    assert told(blurred)[:1] == ["picture_changed"]
    bad = [judge.taken(path) for path in pictures("test/defective")[:DEFECTIVE]]
    mixed = [one for pair in zip(first[160:], bad, strict=True) for one in pair]
    assert kinds_of(GOOD, [*first[:160], *mixed]) == ["more_defects"]
