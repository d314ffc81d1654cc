"""Every number of a range that is asked for again is replayed, waiting or gone, and gone ones are named."""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from agent.clock import ManualClock
from agent.contract.events import EventMaker
from agent.outbox.database import Database
from agent.outbox.keeper import Keeper
from agent.outbox.outbox import Outbox
from agent.outbox.replayed import RANGES, Replayed, sequences, together, told
from agent.outbox.spool import Limits
from tests.agent.outbox.rows import TOPICS, verdict
from tests.brokers import DEADLINE_S


@given(st.integers(1, 60), st.integers(0, 40), st.sets(st.integers(1, 120)))
def test_the_three_make_up_the_range(first: int, more: int, held: set[int]) -> None:
    last = first + more
    there = sorted(number for number in held if first <= number <= last)
    answer = told(first, last, queued=len(there) // 2, there=there)
    gone = [number for begin, end in answer.gone for number in range(begin, end + 1)]
    assert sorted(gone + there) == list(range(first, last + 1))
    assert answer.queued + answer.waiting == len(there)
    assert all(end + 1 < begin for (_, end), (begin, _) in zip(answer.gone, answer.gone[1:], strict=False))


@given(st.integers(1, 60), st.integers(0, 40), st.sets(st.integers(1, 120)), st.integers(1, 50))
def test_a_range_that_was_asked_for_in_parts_is_told_as_one(
    first: int, more: int, held: set[int], at_once: int
) -> None:
    last = first + more
    parts = []
    for begin in range(first, last + 1, at_once):
        end = min(begin + at_once - 1, last)
        there = sorted(number for number in held if begin <= number <= end)
        parts.append(told(begin, end, queued=len(there), there=there))
    everything = sorted(number for number in held if first <= number <= last)
    assert together(parts) == told(first, last, queued=len(everything), there=everything)


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)), st.integers(1, 40), st.integers(0, 30))
def test_an_outbox_tells_what_it_has_of_a_range(
    delivered: set[int], deleted: set[int], first: int, more: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = ManualClock()
        database = Database(Path(folder) / "outbox.sqlite3", clock=clock)
        outbox = Outbox(database)
        outbox.open()
        events = EventMaker(TOPICS, boot_id="boot", clock=clock, new_id=lambda: "note")
        keeper = Keeper(database, limits=Limits(), hold_when_full=False, events=events, clock=clock)
        keeper.open()
        outbox.append([verdict(number) for number in range(1, 31)]).result(DEADLINE_S)
        seqs = {int(one.row.id.rpartition("-")[2]): one.seq for one in outbox.lease(100)}
        outbox.delivered([seqs[number] for number in delivered])
        with closing(sqlite3.connect(outbox.path)) as file, file:
            for number in deleted & delivered:  # as the bounds of the history do
                file.execute("DELETE FROM history WHERE seq = ?", (seqs[number],))
                file.execute("DELETE FROM record WHERE seq = ?", (seqs[number],))
        answer = keeper.replay(first, first + more)
        asked = set(range(first, first + more + 1))
        gone = {number for begin, end in answer.gone for number in range(begin, end + 1)}
        assert answer.queued == len(asked & (delivered - deleted))
        assert gone == asked & ((delivered & deleted) | set(range(31, 100)))
        assert answer.waiting == len(asked & (set(range(1, 31)) - delivered))
        again = keeper.replay(first, first + more)
        assert (again.queued, again.waiting) == (0, answer.queued + answer.waiting)
        keeper.close()
        outbox.close()


def test_an_answer_has_only_so_many_ranges_and_says_where_it_ends() -> None:
    gone = tuple((number, number) for number in range(1, 2 * RANGES + 2, 2))
    data = Replayed(queued=1, waiting=0, gone=gone).data()
    assert data["gone"] == [list(one) for one in gone[:RANGES]]
    assert data["gone_beyond"] == gone[RANGES - 1][1]
    assert "gone_beyond" not in Replayed(queued=1, waiting=0, gone=gone[:RANGES]).data()


def test_what_a_range_costs_does_not_grow_with_the_history(outbox: Outbox) -> None:
    work = []
    for first in (1, 1001):
        outbox.append([verdict(number) for number in range(first, first + 1000)]).result(DEADLINE_S)
        outbox.delivered([one.seq for one in outbox.lease(1000)])
        with closing(sqlite3.connect(outbox.path)) as file:
            steps = itertools.count()
            file.set_progress_handler(lambda steps=steps: next(steps) < 0, 1)
            assert sequences(file, 11, 20) == list(range(11, 21))
            work.append(next(steps))
    assert work[0] < 1000 and work[1] < 1.2 * work[0]
