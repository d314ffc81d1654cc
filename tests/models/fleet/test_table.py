"""A rollout in a few lines: whoever was told what was before is not counted as silent."""

from __future__ import annotations

from dataclasses import replace

from models.fleet.plan import Word
from models.fleet.table import summary
from tests.models.fleet.test_waves import record


def test_who_took_what_was_before_is_no_silent_one() -> None:
    begun = record(4)
    new, before = Word(what="new", counter=5), Word(what="before", counter=6)
    back, refused, silent, untold = begun.members
    members = (
        replace(back, words=(new, before), returned="applied"),
        replace(refused, words=(new, before), returned="rejected"),
        replace(silent, words=(new,)),
        untold,
    )
    lines = summary(replace(begun, members=members, state="stopped", why="by hand"))
    assert "1 back to before, 1 back to before rejected, 1 no answer, 1 not told" in lines[0]
    assert lines[-1] == f"no answer: {silent.address}"
