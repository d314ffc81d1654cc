"""The desk: done and remembered before acknowledged, refusals counted, and nothing ends its thread."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from structlog.testing import capture_logs

from agent.clock import ManualClock
from agent.contract import inbound as inbound_
from agent.contract.commands import Accepted
from agent.contract.inbound import Inbound
from agent.line.binding import Bound
from agent.line.bindings import Bindings
from agent.outbox.replayed import Replayed
from agent.remote.commands.admission import admit
from agent.remote.commands.desk import Desk
from agent.remote.commands.verbs import REPLAYED_AT_ONCE
from tests.agent.outbox.rows import TOPICS
from tests.agent.remote.commands.test_admission import inbounds
from tests.agent.remote.fakes import station_of
from tests.agent.uplink.asking import MES, NOW, RESULT, allowed, command, request
from tests.brokers import eventually

NOBODY_SIGNS: Mapping[str, Any] = MappingProxyType({})


@dataclass
class Station:
    """The actions and answers of a desk, and a diary of them."""

    diary: list[tuple[object, ...]] = field(default_factory=list)
    remembered: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    gone: tuple[tuple[int, int], ...] = ()

    def replay(self, from_sequence: int, to_sequence: int) -> Replayed:
        self._do("replay", from_sequence, to_sequence)
        return Replayed(queued=5, waiting=0, gone=self.gone)

    def confirm(self, result_ids: Sequence[str]) -> int:
        self._do("confirm", *result_ids)
        return len(result_ids)

    def remember(self, command_id: str, now: datetime) -> None:
        self._do("remember", command_id)
        self.remembered.add(command_id)

    def seen(self, command_id: str) -> bool:
        if "seen" in self.broken:
            raise OSError("the disk is gone \udc80")
        return command_id in self.remembered

    def respond(
        self, topic: str, payload: bytes, correlation_data: bytes | None, *, is_last: bool = True
    ) -> None:
        answer = json.loads(payload)
        assert is_last == (answer["code"] != 202)
        self.diary.append(("respond", topic, answer, correlation_data))

    def acknowledge(self, inbound: Inbound) -> None:
        self.diary.append(("acknowledge", inbound.token))

    def _do(self, what: str, *details: object) -> None:
        if what in self.broken:
            raise OSError("the disk is gone \udc80")
        self.diary.append((what, *details))

    def answers(self) -> list[dict[str, object]]:
        return [entry[2] for entry in self.diary if entry[0] == "respond"]  # type: ignore[misc]

    def done(self) -> list[object]:
        return [entry[0] for entry in self.diary]


class Counter:
    """A desk with its inbox; `serve` waits until all is acknowledged."""

    def __init__(
        self,
        station: Station,
        clock: ManualClock,
        *,
        synced: bool | None = True,
        folder: Path | None = None,
        signing: Mapping[str, Any] = NOBODY_SIGNS,
        **parts: Any,
    ) -> None:
        self.station = station
        self.bindings = Bindings(["top"], path=(folder or Path("/nowhere")) / "bindings.json", clock=clock)
        self._inbox: queue.SimpleQueue[Inbound] = queue.SimpleQueue()
        self.desk = Desk(
            self._inbox,
            topics=TOPICS,
            station=station_of(clock, outbox=station, bindings=self.bindings, **parts),
            memory=station,
            answers=station,
            clock=clock,
            clock_synced=lambda: synced,
            allowed=allowed,
            **signing,
        )

    def serve_here(self, *inbounds: Inbound) -> None:
        """In this thread, turn by turn; the desk must not have been started."""
        wanted = self.station.done().count("acknowledge") + len(inbounds)
        for inbound in inbounds:
            self._inbox.put(inbound)
        while self.station.done().count("acknowledge") < wanted:
            self.desk.turn()

    def turn(self, *inbounds: Inbound) -> None:
        """One turn of a desk that was not started, with these in its inbox."""
        for inbound in inbounds:
            self._inbox.put(inbound)
        self.desk.turn()

    def serve(self, *inbounds: Inbound) -> None:
        wanted = self.station.done().count("acknowledge") + len(inbounds)
        for inbound in inbounds:
            self._inbox.put(inbound)
        eventually(
            lambda: self.station.done().count("acknowledge") == wanted or self.desk.failure, "all are served"
        )
        assert self.desk.failure is None


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def counter(clock: ManualClock) -> Iterator[Counter]:
    counter = Counter(Station(), clock)
    counter.desk.start()
    yield counter
    counter.desk.stop()


def test_a_command_is_done_remembered_answered_and_acknowledged_in_this_order(counter: Counter) -> None:
    counter.serve(command(response_topic=MES, correlation_data=b"7", token=3))
    assert counter.station.diary == [
        ("replay", 5, 9),
        ("remember", "c-1"),
        (
            "respond",
            MES,
            {
                "schema": "plumbline.response/1",
                "id": "c-1",
                "name": "replay",
                "code": 200,
                "message": "done",
                "data": {"replayed": 5, "waiting": 0, "gone": []},
                "expiry_checked": True,
            },
            b"7",
        ),
        ("acknowledge", 3),
    ]
    assert counter.desk.performed == 1


def test_every_command_does_its_own_thing(counter: Counter) -> None:
    counter.serve(
        command("ping", request(id="a", args={})),
        command("ack", request(id="b", args={"result_ids": [RESULT]})),
    )
    assert ("confirm", RESULT) in counter.station.diary
    assert [answer["data"] for answer in counter.station.answers()] == [{}, {"confirmed": 1}]


def test_a_command_that_the_broker_sends_again_is_not_done_again(counter: Counter) -> None:
    counter.serve(command(), command())
    assert counter.station.done().count("replay") == 1
    assert [answer["code"] for answer in counter.station.answers()] == [200, 409]
    assert counter.desk.refusals["repeated"] == 1


@pytest.mark.parametrize("broken", ["replay", "remember", "seen"])
def test_an_action_that_fails_is_answered_with_500_and_may_be_asked_for_again(
    counter: Counter, broken: str
) -> None:
    counter.station.broken.add(broken)
    counter.serve(command())
    (answer,) = counter.station.answers()
    assert (answer["code"], answer["id"], answer["data"]) == (500, "c-1", {"kind": "failed"})
    assert "the disk is gone" in str(answer["message"])
    assert counter.desk.refusals["failed"] == 1
    counter.station.broken.clear()
    counter.serve(command())
    assert counter.station.answers()[-1]["code"] == 200


def test_refusals_are_counted_each_and_logged_once_per_kind_and_minute(
    counter: Counter, clock: ManualClock
) -> None:
    bad = [command(payload=b"no"), command(retained=True), command(payload=b"no")]
    with capture_logs() as logs:
        counter.serve(*bad)
        clock.advance(59)
        counter.serve(*bad)
        clock.advance(2)
        counter.serve(*bad)
    refused = [(log["kind"], log["so_far"]) for log in logs if log["event"] == "command_refused"]
    assert refused == [("not_json", 1), ("retained", 1), ("not_json", 5), ("retained", 3)]
    assert counter.desk.refusals["not_json"] == 6 and counter.desk.refusals["retained"] == 3
    assert counter.station.done() == ["respond", "acknowledge"] * 9


def test_what_nobody_can_be_told_is_acknowledged_all_the_same(counter: Counter) -> None:
    counter.serve(command(topic="plumbline/v1/a/b/c/another/cmd/ping"))
    assert counter.station.done() == ["acknowledge"]


def test_what_is_gone_is_told_by_range(counter: Counter) -> None:
    counter.station.gone = ((5, 6),)
    counter.serve(command())
    (told,) = counter.station.answers()
    assert (told["code"], told["data"]) == (200, {"replayed": 5, "waiting": 0, "gone": [[5, 6]]})
    assert "what is gone" in str(told["message"])


@pytest.mark.parametrize(("synced", "said"), [(True, True), (None, True), (False, False)])
@pytest.mark.parametrize("broken", ["", "replay"])
def test_an_answer_says_when_expiry_was_not_looked_at(
    clock: ManualClock, synced: bool | None, said: bool | None, broken: str
) -> None:
    station = Station(broken={broken})
    Counter(station, clock, synced=synced).serve_here(command())
    (answer,) = station.answers()
    assert answer["expiry_checked"] is said
    assert ("not synchronised" in str(answer["message"])) == (said is False and not broken)


def test_a_part_and_an_order_are_bound_from_the_arrival_of_the_command(
    clock: ManualClock, tmp_path: Path
) -> None:
    counter = Counter(Station(), clock, folder=tmp_path)
    words = {"part_id": "SN-1", "job_id": "WO-7"}
    counter.serve_here(command("bind", request(args=words), arrived_ns=100))
    (answer,) = counter.station.answers()
    assert (answer["code"], answer["data"]) == (200, {"cameras": ["top"]})
    assert counter.bindings.of("top", 99) == Bound()
    bound = counter.bindings.of("top", 100)
    assert bound.bind_id is not None
    assert bound == Bound(part_id="SN-1", bind_id=bound.bind_id, job_id="WO-7")
    assert counter.bindings.of("top", 101) == Bound(job_id="WO-7")
    late = command("bind", request(id="c-2", args={"part_id": "SN-2"}), arrived_ns=101)
    nowhere = command("bind", request(id="c-3", args={"part_id": "SN-2", "camera": "side"}))
    counter.serve_here(late, nowhere)
    told = [(answer["code"], answer["data"]) for answer in counter.station.answers()[1:]]
    assert told == [(409, {"kind": "late", "cameras": ["top"]}), (422, {"kind": "bad_arguments"})]
    assert counter.bindings.of("top", 102) == Bound(job_id="WO-7")


LONG = request(id="long", args={"from_sequence": 1, "to_sequence": 3 * REPLAYED_AT_ONCE})


def ping(id_: str, token: int) -> Inbound:
    return command("ping", request(id=id_, args={}), token=token)


def test_others_are_answered_between_the_steps_of_a_command_that_takes_long(clock: ManualClock) -> None:
    counter = Counter(Station(gone=((2, 3),)), clock)
    counter.serve_here(command(payload=LONG, token=1), ping("a", 2), ping("b", 3))
    assert [answer["id"] for answer in counter.station.answers()] == ["a", "b", "long"]
    steps = [entry[1:] for entry in counter.station.diary if entry[0] == "replay"]
    once = REPLAYED_AT_ONCE
    assert steps == [(1, once), (once + 1, 2 * once), (2 * once + 1, 3 * once)]
    (told,) = [answer["data"] for answer in counter.station.answers() if answer["id"] == "long"]
    assert told == {"replayed": 15, "waiting": 0, "gone": [[2, 3], [2, 3], [2, 3]]}


def test_messages_are_acknowledged_in_the_order_of_their_arrival(clock: ManualClock) -> None:
    counter = Counter(Station(), clock)
    counter.serve_here(ping("a", 1), command(payload=LONG, token=2), ping("b", 3), ping("c", 4))
    diary = counter.station.diary
    assert [entry[1] for entry in diary if entry[0] == "acknowledge"] == [1, 2, 3, 4]
    last_answer = max(number for number, entry in enumerate(diary) if entry[0] == "respond")
    assert diary.index(("acknowledge", 2)) > last_answer, "the broker has the answers first"


def test_commands_that_take_long_wait_for_each_other_and_each_is_done_once(clock: ManualClock) -> None:
    counter = Counter(Station(), clock)
    other = request(id="other", args={"from_sequence": 8, "to_sequence": 9})
    counter.serve_here(command(payload=LONG), command(payload=other), command(payload=LONG))
    told = [(answer["id"], answer["code"]) for answer in counter.station.answers()]
    assert told == [("long", 200), ("other", 200), ("long", 409)]
    assert counter.station.diary.count(("replay", 8, 9)) == 1


def test_a_command_that_expires_while_it_waits_for_a_long_one_is_not_done(clock: ManualClock) -> None:
    counter = Counter(Station(), clock)
    counter.turn(command(payload=LONG), command())
    counter.turn()
    clock.advance(3600)
    counter.serve_here(ping("a", 1))  # itself expired
    counter.turn()
    told = [(answer["id"], answer["code"]) for answer in counter.station.answers()]
    assert told == [("a", 410), ("long", 200), ("c-1", 410)]


def test_a_command_that_fails_in_its_second_step_is_answered_with_500_and_may_be_asked_for_again(
    clock: ManualClock,
) -> None:
    counter = Counter(Station(), clock)
    counter.turn(command(payload=LONG))
    counter.station.broken.add("replay")
    counter.turn()
    (answer,) = counter.station.answers()
    assert (answer["code"], answer["data"]) == (500, {"kind": "failed"})
    counter.station.broken.clear()
    counter.serve_here(command(payload=LONG))
    assert counter.station.answers()[-1]["code"] == 200


def test_a_desk_that_is_stopped_between_two_steps_leaves_the_command_to_the_broker(
    clock: ManualClock,
) -> None:
    counter = Counter(Station(), clock)
    counter.turn(command(payload=LONG))
    counter.desk.stop()
    assert counter.station.done() == ["replay"]


def test_beyond_a_bound_nothing_is_taken_while_a_long_one_is_not_done(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound_, "WAITING", 2)
    counter = Counter(Station(), clock)
    counter.serve_here(command(payload=LONG), ping("a", 2), ping("b", 3))
    assert [answer["id"] for answer in counter.station.answers()] == ["a", "long", "b"]


def test_a_stopped_desk_leaves_what_waits_to_the_broker() -> None:
    counter = Counter(Station(), ManualClock())
    counter.desk.start()
    counter.desk.stop()
    assert counter.station.diary == []
    counter.desk.stop()


@hypothesis_settings(max_examples=150)
@given(inbounds)
def test_nothing_is_done_for_a_message_that_is_not_accepted(inbound: Inbound) -> None:
    station = Station()
    counter = Counter(station, ManualClock())
    counter.serve_here(inbound)
    asked = admit(inbound, TOPICS, now=NOW, clock_synced=True, seen=lambda _: False, allowed=allowed)
    acted = [entry for entry in station.done() if entry not in ("respond", "acknowledge")]
    assert bool(acted) == isinstance(asked, Accepted)
    assert station.done()[-1] == "acknowledge"
