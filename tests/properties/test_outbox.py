"""The outbox behaves like a list of rows, whatever is appended, delivered and reopened in what order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.clock import ManualClock
from agent.contract.row import KINDS, Row, RowKind
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from tests.brokers import DEADLINE_S

TEXT = st.text(max_size=20)
PROPERTIES = st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)


class OutboxIsAList(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "outbox.sqlite3"
        self.waiting: list[Row] = []
        self.sequence = 0
        self.ids = 0
        self.open()

    def open(self) -> None:
        self.outbox = Outbox(Database(self.path, clock=ManualClock()))
        self.outbox.open()

    @rule(
        parts=st.lists(
            st.tuples(st.sampled_from(KINDS), st.binary(max_size=300), TEXT, PROPERTIES), max_size=5
        )
    )
    def append(self, parts: list[tuple[RowKind, bytes, str, tuple[tuple[str, str], ...]]]) -> None:
        rows = [self.row(*part) for part in parts]
        self.outbox.append(rows).result(DEADLINE_S)
        self.waiting += rows

    def row(self, kind: RowKind, payload: bytes, text: str, properties: tuple[tuple[str, str], ...]) -> Row:
        self.ids += 1
        sequence = None
        if kind == "verdict":
            self.sequence += 1
            sequence = self.sequence
        return Row(
            id=str(self.ids),
            kind=kind,
            topic=text,
            payload=payload,
            content_type=text,
            properties=properties,
            sequence=sequence,
        )

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        leased = self.outbox.lease(data.draw(st.integers(1, 10), label="limit"))
        acknowledged = data.draw(st.lists(st.sampled_from(leased), unique_by=lambda one: one.seq))
        self.outbox.delivered([one.seq for one in acknowledged])
        gone = {one.row.id for one in acknowledged}
        self.waiting = [row for row in self.waiting if row.id not in gone]

    @rule()
    def reopen(self) -> None:
        self.outbox.close()
        self.open()

    @invariant()
    def leases_all_by_kind_and_then_in_order(self) -> None:
        expected = [row for kind in KINDS for row in self.waiting if row.kind == kind]
        assert [one.row for one in self.outbox.lease(1000)] == expected

    @invariant()
    def knows_the_last_sequence(self) -> None:
        assert self.outbox.last_sequence() == self.sequence

    @invariant()
    def counts_what_waits(self) -> None:
        depth = self.outbox.depth()
        assert (depth.rows, depth.bytes) == (
            len(self.waiting),
            sum(len(row.payload) for row in self.waiting),
        )
        assert depth.kinds == {kind: sum(row.kind == kind for row in self.waiting) for kind in KINDS}

    def teardown(self) -> None:
        self.outbox.close()
        self.folder.cleanup()


OutboxIsAList.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestOutboxIsAList = pytest.mark.slow(OutboxIsAList.TestCase)
