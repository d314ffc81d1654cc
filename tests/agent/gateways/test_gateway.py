"""A gateway loses nothing and skips nothing, whatever its sink does, and holds no other gateway."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import ManualClock
from agent.contract.row import Waiting
from agent.gateways.gateway import GatewayError, Unacceptable
from tests.agent.gateways.records import FakeRecords, gateway, verdict
from tests.brokers import eventually


@dataclass
class CueSink:
    """A sink that does what it is told: each delivery follows the next cue, and succeeds without one."""

    rows_at_a_time: int = 3
    cues: list[Exception | str] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    calls: int = 0
    is_open: bool = False
    opens: int = 0

    def open(self) -> None:
        assert not self.is_open
        self.opens += 1
        self.is_open = True

    def deliver(self, rows: Sequence[Waiting]) -> None:
        assert self.is_open and len(rows) <= self.rows_at_a_time
        self.calls += 1
        cue = self.cues.pop(0) if rows and self.cues else None
        match cue:
            case Exception():
                raise cue
            case "first only":
                self.seen.append(rows[0].seq)
                raise GatewayError("sink: it broke off; try again", taken=rows[0].seq)
            case "never the last":
                self.seen.extend(waiting.seq for waiting in rows[:-1])
                raise Unacceptable(rows[-1], "it is too large")
            case "lost answer":
                self.seen.extend(waiting.seq for waiting in rows)
                raise GatewayError("sink: no answer; try again")
            case _:
                self.seen.extend(waiting.seq for waiting in rows)

    def close(self) -> None:
        self.is_open = False


AWAY = "sink: it is away; switch it on"


def test_rows_arrive_in_batches_and_in_order_and_the_cursor_follows() -> None:
    records, sink = FakeRecords([verdict(number) for number in range(1, 8)]), CueSink()
    one = gateway(records, sink, clock=ManualClock())
    while one.step():
        pass
    assert sink.seen == [1, 2, 3, 4, 5, 6, 7]
    assert (records.cursor, one.state.last_seq, one.state.delivered) == (7, 7, 7)


def test_a_failing_sink_is_closed_and_opened_again_after_pauses_that_grow() -> None:
    clock = ManualClock()
    records = FakeRecords([verdict(1)])
    sink = CueSink(cues=[GatewayError(AWAY) for _ in range(3)])
    one = gateway(records, sink, clock=clock)
    pauses = []
    for _ in range(3):
        before_ns = clock.monotonic_ns()
        assert one.step()
        assert not sink.is_open and records.cursor == 0
        assert one.state.failing == AWAY
        pauses.append((clock.monotonic_ns() - before_ns) / 1e9)
    assert 1 <= pauses[0] <= 2 <= pauses[1] <= 4 <= pauses[2] <= 8
    assert one.state.failures == one.tries_failed == 3
    first_failed = one.state.since
    one.step()
    assert one.state.failing is None and one.state.since > first_failed
    assert sink.seen == [1] and records.cursor == 1


def test_a_pause_that_the_other_side_asks_for_is_kept() -> None:
    clock = ManualClock()
    sink = CueSink(cues=[GatewayError(AWAY, retry_after_s=120.0)])
    gateway(FakeRecords([verdict(1)]), sink, clock=clock).step()
    assert clock.monotonic_ns() == 120_000_000_000


def test_rows_that_arrived_before_the_failure_are_not_sent_again() -> None:
    records = FakeRecords([verdict(number) for number in range(1, 4)])
    sink = CueSink(cues=["first only"])
    one = gateway(records, sink, clock=ManualClock())
    one.step()
    assert records.cursor == 1 and one.state.failing is not None
    one.step()
    assert sink.seen == [1, 2, 3]


def test_a_row_that_can_never_be_taken_is_reported_before_the_cursor_passes_it() -> None:
    records = FakeRecords([verdict(number) for number in range(1, 6)])
    sink = CueSink(cues=["never the last"])
    reported: list[tuple[int, str, str, int]] = []
    one = gateway(
        records,
        sink,
        clock=ManualClock(),
        on_unacceptable=lambda it: reported.append((it.seq, it.row.id, it.reason, records.cursor)),
    )
    while one.step():
        pass
    assert reported == [(3, records.rows[2].row.id, "it is too large", 0)]
    assert sink.seen == [1, 2, 4, 5]
    assert (one.state.delivered, one.state.unacceptable, one.state.failing) == (4, 1, None)
    assert sink.opens == 1


def test_a_report_that_cannot_be_stored_keeps_the_row() -> None:
    def full(unacceptable: Unacceptable) -> None:
        raise OSError("the disk is full")

    records = FakeRecords([verdict(1)])
    one = gateway(records, CueSink(cues=["never the last"]), clock=ManualClock(), on_unacceptable=full)
    with pytest.raises(OSError, match="disk is full"):
        one.step()
    assert records.cursor == 0


def test_a_crash_between_delivery_and_cursor_repeats_and_never_skips() -> None:
    records, sink = FakeRecords([verdict(number) for number in range(1, 5)]), CueSink()
    records.fails = OSError("killed")
    with pytest.raises(OSError, match="killed"):
        gateway(records, sink, clock=ManualClock()).step()
    sink.close()
    reborn = gateway(records, sink, clock=ManualClock())
    while reborn.step():
        pass
    assert sink.seen == [1, 2, 3, 1, 2, 3, 4]


def test_a_sink_that_does_not_open_is_tried_again() -> None:
    class Stubborn(CueSink):
        def open(self) -> None:
            if self.opens < 2:
                self.opens += 1
                raise GatewayError(AWAY)
            super().open()

    records, sink = FakeRecords([verdict(1)]), Stubborn()
    one = gateway(records, sink, clock=ManualClock())
    for _ in range(3):
        one.step()
    assert sink.seen == [1] and one.state.failing is None


def test_an_idle_sink_is_asked_all_the_same_and_recovers_without_a_row() -> None:
    sink = CueSink()
    one = gateway(FakeRecords(), sink, clock=ManualClock())
    assert not one.step() and not one.step()
    assert sink.calls == 2 and one.state.delivered == 0


def test_a_sink_that_hangs_holds_no_other_gateway_and_no_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.gateways.gateway.STOP_S", 0.2)
    release = threading.Event()

    class Hanging(CueSink):
        def deliver(self, rows: Sequence[Waiting]) -> None:
            release.wait()
            super().deliver(rows)

    stuck, free = FakeRecords([verdict(1)]), FakeRecords([verdict(1)])
    hanging, quick = Hanging(), CueSink()
    slow, other = gateway(stuck, hanging), gateway(free, quick)
    slow.start()
    other.start()
    eventually(lambda: free.cursor == 1, "the other delivers")
    free.commit(verdict(2))
    other.wake()
    eventually(lambda: free.cursor == 2, "and goes on")
    slow.stop()
    other.stop()
    release.set()
    slow._thread.join()
    assert hanging.seen == [
        1
    ]  # it came late: the cursor stays, and the row is delivered again at the next start
    assert stuck.cursor == 0 and slow.failure is None


def test_a_stop_does_not_wait_for_the_pause_after_a_failure() -> None:
    sink = CueSink(cues=[GatewayError(AWAY, retry_after_s=600.0)])
    one = gateway(FakeRecords([verdict(1)]), sink)
    one.start()
    eventually(lambda: one.state.failing == AWAY, "it fails")
    one.stop()
    assert not one._thread.is_alive() and not sink.is_open


def test_what_no_sink_may_raise_ends_the_gateway_visibly() -> None:
    one = gateway(FakeRecords([verdict(1)]), CueSink(cues=[ZeroDivisionError("a bug")]))
    one.start()
    eventually(lambda: one.failure is not None, "the failure is visible")
    one.stop()
    assert isinstance(one.failure, ZeroDivisionError)


CUES = st.sampled_from(["take", "take", "away", "first only", "never the last", "lost answer", "killed"])


@given(st.lists(CUES, max_size=40), st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(1, 5))
def test_whatever_fails_every_row_arrives_or_is_reported_first_in_order(
    cues: list[str], commits: list[int], rows_at_a_time: int
) -> None:
    records, reported = FakeRecords(), []
    sink = CueSink(rows_at_a_time=rows_at_a_time)

    def reborn() -> None:
        nonlocal one
        sink.close()
        one = gateway(
            records,
            sink,
            clock=ManualClock(),
            on_unacceptable=lambda unacceptable: reported.append(unacceptable.seq),
        )

    one = gateway(records, sink, clock=ManualClock())
    reborn()
    for cue in cues:
        if commits:
            records.commit(*[verdict(1) for _ in range(commits.pop(0))])
        records.fails = OSError("killed") if cue == "killed" else None
        sink.cues = [GatewayError(AWAY) if cue == "away" else cue] if cue not in ("take", "killed") else []
        before = records.cursor
        try:
            one.step()
        except OSError:
            reborn()
        assert before <= records.cursor <= max([0, *sink.seen, *reported])
    records.fails, sink.cues = None, []
    while one.step():
        pass
    total = len(records.rows)
    assert records.cursor == total
    assert set(sink.seen) | set(reported) == set(range(1, total + 1))
    first_seen = list(dict.fromkeys(sink.seen))
    assert first_seen == sorted(first_seen)
