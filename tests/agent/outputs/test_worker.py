"""One output's thread: what its schedule asks for is done and told; a gate that fails holds up nobody."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field

from agent.clock import ManualClock, SystemClock
from agent.messages import VerdictName
from agent.outputs.belt import Reading
from agent.outputs.nouns import Ending, Rule, Trigger
from agent.outputs.schedule import Schedule
from agent.outputs.worker import Lost, Standing, Told, Worker
from tests.agent.outputs.gates import FakeGate
from tests.agent.outputs.playing import MS, S, by_encoder, by_time, decision
from tests.brokers import eventually


@dataclass(slots=True)
class Cell:
    """A worker whose time is moved by hand."""

    rule: Rule = field(default_factory=by_time)
    fail_safe: bool = False
    inverted: bool = False
    clock: ManualClock = field(default_factory=ManualClock)
    told: list[Told] = field(default_factory=list)
    sees: bool = True
    gate: FakeGate = field(init=False)
    worker: Worker = field(init=False)

    def __post_init__(self) -> None:
        self.gate = FakeGate(self.clock)
        self.worker = Worker(
            "reject",
            Schedule(rule=self.rule, gaps=(frozenset(),) if self.fail_safe else ()),
            self.gate,
            clock=self.clock,
            rng=random.Random(7),
            tell=self.told.append,
            fail_safe=self.fail_safe,
            inverted=self.inverted,
            heartbeat_s=0.5,
            sees=lambda: self.sees,
        )

    def seen(self, frame_id: int, verdict: VerdictName | None = None) -> None:
        now_ns = self.clock.monotonic_ns()
        self.worker.hear(Trigger(frame_id=frame_id, captured_ns=now_ns))
        if verdict is not None:
            self.worker.hear(decision(frame_id, verdict, now_ns))

    def goes_on(self, seconds: float, step_s: float = 0.001) -> None:
        for _ in range(round(seconds / step_s)):
            self.clock.advance(step_s)
            self.worker.step()

    def endings(self) -> list[Ending]:
        return [one for one in self.told if isinstance(one, Ending)]

    def troubles(self) -> list[str | None]:
        return [one.trouble for one in self.told if isinstance(one, Standing)]

    def pulses(self) -> list[tuple[float, bool]]:
        return [(at_ns / S, high) for at_ns, high in self.gate.moved]

    def stopped(self) -> None:
        stop = threading.Event()
        stop.set()
        self.worker.run(stop)


def test_a_part_that_failed_is_rejected_when_it_is_at_the_gate_for_as_long_as_the_pulse() -> None:
    cell = Cell()
    cell.seen(1, "fail")
    cell.goes_on(1.0)
    assert cell.pulses() == [(0.001, False), (0.5, True), (0.55, False)]
    (one,) = cell.endings()
    assert (one.action, one.cause, one.acted_ns, one.due_ns) == ("reject", "verdict", S // 2, S // 2)


def test_a_part_that_passed_moves_nothing_and_is_counted() -> None:
    cell = Cell()
    cell.seen(1, "pass")
    cell.goes_on(1.0)
    assert cell.pulses() == [(0.001, False)]
    assert cell.endings() == [] and cell.worker.passed == 1 and cell.worker.under_way == 0


def test_an_inverted_gate_is_high_while_parts_pass() -> None:
    cell = Cell(inverted=True)
    cell.seen(1, "fail")
    cell.goes_on(1.0)
    assert cell.pulses() == [(0.001, True), (0.5, False), (0.55, True)]


def test_the_heartbeat_toggles_as_long_as_the_thread_lives() -> None:
    cell = Cell()
    cell.goes_on(3.0)
    assert [high for _, high in cell.gate.beats] == [True, False, True, False, True, False]


def test_the_heartbeat_stands_still_while_the_camera_sees_nothing() -> None:
    cell = Cell()
    cell.goes_on(1.2)
    cell.sees = False
    before = len(cell.gate.beats)
    cell.goes_on(3.0)
    assert len(cell.gate.beats) == before
    cell.sees = True
    cell.goes_on(1.2)
    assert len(cell.gate.beats) > before
    assert cell.pulses() == [(0.001, False)]  # by these settings the gate waits for what the PLC says


def test_who_passed_while_the_camera_was_blind_is_rejected_and_who_was_seen_before_or_after_is_not() -> None:
    cell = Cell(fail_safe=True)
    cell.seen(1, "pass")
    cell.goes_on(0.6)
    cell.seen(2, "pass")  # due at 1.1 s, gone at 1.12 s
    cell.goes_on(0.1)
    cell.sees = False
    cell.goes_on(0.9)
    cell.sees = True
    cell.seen(3, "pass")  # at 1.6 s, near the gate at 2.08 s
    cell.goes_on(1.0)
    moved = [(round(at_s, 2), high) for at_s, high in cell.pulses()]
    assert moved == [(0.0, True), (0.48, False), (1.12, True), (2.08, False)]
    assert cell.endings() == [] and cell.worker.passed == 3


def test_a_gate_that_is_to_be_left_open_is_found_so_until_the_first_part_that_was_seen_is_near() -> None:
    cell = Cell(fail_safe=True)
    cell.goes_on(0.3)
    assert cell.pulses() == [(0.001, True)]
    cell.seen(1, "pass")
    cell.goes_on(1.0)
    assert cell.pulses() == [(0.001, True), (0.78, False)]  # a window before the part is due
    assert cell.endings() == [] and cell.worker.passed == 1


def test_a_stop_leaves_the_gate_in_its_fail_safe_state_and_names_the_parts_on_their_way() -> None:
    for fail_safe in (False, True):
        cell = Cell(fail_safe=fail_safe)
        cell.seen(1, "fail")
        cell.seen(2, "pass")
        cell.goes_on(0.2)
        cell.stopped()
        assert cell.gate.level is fail_safe and not cell.gate.is_open
        assert [(one.frame_id, one.action, one.cause) for one in cell.endings()] == [(1, "missed", "stopped")]
        assert cell.worker.ended.is_set()


def test_a_gate_that_refuses_is_told_once_and_tried_again_and_the_part_is_missed_in_words() -> None:
    cell = Cell()
    cell.goes_on(0.1)
    cell.seen(1, "fail")
    cell.goes_on(0.45)
    cell.gate.refuses = 1000
    cell.goes_on(0.2)
    failures, cell.gate.refuses = cell.worker.failures, 0
    cell.goes_on(2.0)
    assert cell.troubles() == ["the gate did not answer; check it", None]
    (one,) = cell.endings()
    assert (one.action, one.cause, one.detail) == ("missed", "gate", "the gate did not answer; check it")
    assert 2 <= failures <= 8  # with pauses that grow
    assert cell.worker.failures == failures
    assert cell.gate.level is False


def test_a_gate_that_refuses_once_is_opened_within_the_parts_window() -> None:
    cell = Cell(rule=by_time(window_ms=40))
    cell.goes_on(0.1)
    cell.seen(1, "fail")
    cell.goes_on(0.45)
    cell.gate.refuses = 1
    cell.goes_on(1.0)
    (one,) = cell.endings()
    assert one.action == "reject" and one.acted_ns is not None and one.due_ns is not None
    assert 0 < one.acted_ns - one.due_ns <= 40 * MS and not one.is_late
    assert cell.gate.opened == 2  # anew, since nobody knows what it did


def test_after_a_failure_the_gate_is_told_again_how_it_is_to_stand() -> None:
    cell = Cell()
    cell.goes_on(0.1)
    moved = len(cell.gate.moved)
    cell.gate.refuses = 1
    cell.goes_on(1.0)  # the heartbeat finds it out
    assert cell.gate.opened == 2
    assert [high for _, high in cell.gate.moved[moved:]] == [False]


def test_a_gate_that_answers_after_the_parts_deadline_is_told_as_late() -> None:
    cell = Cell()
    cell.goes_on(0.1)
    cell.seen(1, "fail")
    cell.goes_on(0.45)
    cell.gate.answers = lambda: cell.clock.advance(0.3)
    cell.goes_on(0.06)
    cell.gate.answers = lambda: None
    cell.goes_on(1.0)
    (one,) = cell.endings()
    assert one.action == "reject" and one.is_late
    assert one.acted_ns is not None and one.due_ns is not None and one.acted_ns - one.due_ns >= 0.3 * S


def test_a_reset_of_the_encoder_is_told_with_how_many_parts_it_concerns() -> None:
    cell = Cell(rule=by_encoder())
    for number in range(5):
        cell.worker.hear(Reading(count=1000 + 40 * number, at_ns=number * 20 * MS))
    cell.worker.hear(Trigger(frame_id=1, captured_ns=80 * MS, encoder=1160))
    cell.worker.hear(Reading(count=0, at_ns=100 * MS, epoch=1))
    cell.goes_on(0.1)
    assert [one for one in cell.told if isinstance(one, Lost)] == [Lost(parts=1)]
    assert cell.worker.resets == 1


def test_who_has_something_to_say_never_waits_for_a_gate_that_hangs_and_all_of_it_is_taken_later() -> None:
    clock, told, stop = SystemClock(), list[Told](), threading.Event()
    gate = FakeGate(clock, hangs=threading.Event())
    worker = Worker(
        "reject",
        Schedule(rule=by_time(distance_ms=10, window_ms=5)),
        gate,
        clock=clock,
        rng=random.Random(7),
        tell=told.append,
        fail_safe=False,
        inverted=False,
        heartbeat_s=0.5,
        sees=lambda: True,
    )
    thread = threading.Thread(target=worker.run, args=(stop,), daemon=True)
    thread.start()
    began = time.thread_time()
    for frame_id in range(200):
        now_ns = clock.monotonic_ns()
        worker.hear(Trigger(frame_id=frame_id, captured_ns=now_ns))
        worker.hear(decision(frame_id, "fail", now_ns))
    assert time.thread_time() - began < 1.0
    gate.hangs.set()  # type: ignore[union-attr]
    eventually(lambda: len(told) >= 200, "all of them have ended")
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    endings = [one for one in told if isinstance(one, Ending)]
    assert sorted(one.frame_id for one in endings) == list(range(200))
    assert gate.level is False
