"""The courier's thread over a real outbox: a row stays until its acknowledgement, and no longer."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence

import pytest

from agent.clock import ManualClock
from agent.contract.row import Waiting
from agent.outbox.file import OutboxError
from agent.outbox.outbox import Outbox
from agent.uplink.courier import Courier
from agent.uplink.shipment import Acknowledged, Connected, Disconnected, LinkEvent, Refused, Woken
from tests.agent.outbox.rows import crop, event, verdict
from tests.brokers import DEADLINE_S, eventually


class CueLink:
    """A link that does what it is told: its events come on cue, in any order."""

    def __init__(self) -> None:
        self.published: list[Waiting] = []
        self._events: queue.SimpleQueue[LinkEvent] = queue.SimpleQueue()

    def publish(self, waiting: Waiting) -> None:
        self.published.append(waiting)

    def wait(self, timeout_s: float) -> Sequence[LinkEvent]:
        try:
            return [self._events.get(timeout=timeout_s)]
        except queue.Empty:
            return []

    def wake(self) -> None:
        self.happen(Woken())

    def happen(self, event: LinkEvent) -> None:
        self._events.put(event)

    def ids(self) -> list[str]:
        return [waiting.row.id for waiting in self.published]


@pytest.fixture
def link() -> CueLink:
    return CueLink()


@pytest.fixture
def courier(outbox: Outbox, link: CueLink, clock: ManualClock) -> Iterator[Courier]:
    courier = Courier(outbox, link, clock=clock, window=3, retry_pause_s=30.0)
    courier.start()
    yield courier
    courier.stop()


def append(outbox: Outbox, *sequences: int) -> None:
    outbox.append([verdict(sequence) for sequence in sequences]).result(DEADLINE_S)


def test_nothing_is_published_before_a_broker_accepts_us(
    outbox: Outbox, link: CueLink, courier: Courier
) -> None:
    append(outbox, 1)
    link.happen(Disconnected())
    eventually(lambda: not courier.state.drained, "the courier has looked")
    assert link.published == []
    link.happen(Connected())
    eventually(lambda: link.ids() == ["verdict-1"], "the row is published")


def test_acknowledgements_in_any_order_make_room_and_empty_the_outbox(
    outbox: Outbox, link: CueLink, courier: Courier
) -> None:
    append(outbox, 1, 2, 3, 4, 5)
    link.happen(Connected())
    eventually(lambda: len(link.published) == 3, "the window is full")
    for seq in (3, 1, 2, 5, 4):
        link.happen(Acknowledged(seqs=(seq,)))
    eventually(lambda: outbox.depth().rows == 0, "all rows are gone")
    assert link.ids() == [f"verdict-{number}" for number in range(1, 6)]
    assert courier.state.deliveries == 5


def test_what_was_not_acknowledged_is_published_again_after_a_reconnect(
    outbox: Outbox, link: CueLink, courier: Courier
) -> None:
    append(outbox, 1, 2, 3)
    link.happen(Connected())
    eventually(lambda: len(link.published) == 3, "the window is full")
    link.happen(Acknowledged(seqs=(2,)))
    link.happen(Disconnected())
    link.happen(Connected())
    eventually(lambda: link.ids()[3:] == ["verdict-1"], "one is published again, alone")
    assert outbox.depth().rows == 2
    link.happen(Acknowledged(seqs=(1,)))
    eventually(lambda: link.ids()[3:] == ["verdict-1", "verdict-3"], "then the rest")


def test_the_window_is_the_smaller_of_ours_and_the_brokers(
    outbox: Outbox, link: CueLink, courier: Courier
) -> None:
    append(outbox, 1, 2, 3)
    link.happen(Connected(receive_maximum=1))
    eventually(lambda: courier.state.publications == 1, "one row is under way")
    link.happen(Acknowledged(seqs=(1,)))
    eventually(lambda: courier.state.publications == 2, "the next one follows")
    assert [flight.seq for flight in courier.state.in_flight] == [2]


def test_a_refused_row_is_kept_reported_and_tried_again_while_others_pass(
    outbox: Outbox, link: CueLink, courier: Courier, clock: ManualClock
) -> None:
    append(outbox, 1, 2, 3, 4)
    link.happen(Connected())
    eventually(lambda: len(link.published) == 3, "the window is full")
    link.happen(Refused(seq=1, reason="quota exceeded"))
    for seq in (2, 3, 4):
        eventually(lambda seq=seq: seq in {one.seq for one in link.published}, "it is published")  # type: ignore[misc]
        link.happen(Acknowledged(seqs=(seq,)))
    eventually(lambda: outbox.depth().rows == 1, "only the refused row is left")
    assert [refusal.reason for refusal in courier.state.refused] == ["quota exceeded"]
    clock.advance(31.0)
    link.wake()
    eventually(lambda: link.ids()[4:] == ["verdict-1"], "it is tried again")
    link.happen(Acknowledged(seqs=(1,)))
    eventually(lambda: outbox.depth().rows == 0, "it is delivered")
    assert courier.state.refusals == 1


def test_a_verdict_overtakes_the_crops_that_wait(outbox: Outbox, link: CueLink, courier: Courier) -> None:
    outbox.append([crop(number) for number in range(5)]).result(DEADLINE_S)
    append(outbox, 1)
    outbox.append([event(1)]).result(DEADLINE_S)
    link.happen(Connected())
    eventually(lambda: len(link.published) == 3, "the window is full")
    assert link.ids() == ["verdict-1", "event-1", "crop-0"]


def test_a_row_committed_while_connected_is_published_without_delay(
    outbox: Outbox, link: CueLink, courier: Courier
) -> None:
    link.happen(Connected())
    eventually(lambda: courier.state.drained, "the outbox was found empty")
    append(outbox, 1)
    eventually(lambda: link.ids() == ["verdict-1"], "the row is published")


def test_an_outbox_that_fails_ends_the_courier_visibly(
    outbox: Outbox, link: CueLink, courier: Courier
) -> None:
    outbox.close()
    link.happen(Connected())
    eventually(lambda: courier.failure is not None, "the failure is visible")
    assert isinstance(courier.failure, OutboxError)
