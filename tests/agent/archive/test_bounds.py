"""What is kept is decided by settings and the record alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.archive import bounds
from agent.messages import VerdictName
from tests.agent.archive.records import MORNING, limits, verdict


@pytest.mark.parametrize(("name", "kept"), [("fail", True), ("undecided", True), ("skipped", False)])
def test_all_but_passes_are_kept_where_there_is_a_picture(name: VerdictName, kept: bool) -> None:
    assert bounds.wanted(verdict(name=name), limits(pass_share=0.0)) == kept


def test_a_share_of_the_passes_is_kept_and_it_is_the_same_every_time() -> None:
    def kept(share: float) -> list[str]:
        records = [verdict(number, name="pass") for number in range(1, 2001)]
        return [one.result_id for one in records if bounds.wanted(one, limits(pass_share=share))]

    assert kept(0.0) == []
    assert len(kept(1.0)) == 2000
    assert 150 < len(kept(0.1)) < 250
    assert kept(0.1) == kept(0.1)
    assert set(kept(0.1)) < set(kept(0.3))  # a larger share has what a smaller one has


def test_bytes_beyond_a_bound_have_to_go() -> None:
    assert bounds.over(limits(max_bytes=1000), 900, 100) == 0
    assert bounds.over(limits(max_bytes=1000), 950, 100) == 50
    assert bounds.short(limits(min_free_bytes=500), 600, 100) == 0
    assert bounds.short(limits(min_free_bytes=500), 400, 100) == 200


def test_days_count_from_now() -> None:
    assert bounds.oldest(limits(days=1.5), MORNING + timedelta(days=1.5)) == "2026-11-24T07:15:03.412Z"
