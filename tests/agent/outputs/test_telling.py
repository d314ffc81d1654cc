"""What outputs did becomes rows and events; what outlasts a minute is told once."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.clock import ManualClock
from agent.contract.actuation import CAUSES, Action, Cause
from agent.contract.events import EventMaker
from agent.contract.row import Row
from agent.outputs.account import ACTIONS, TROUBLES, Account, is_trouble, lateness_ms
from agent.outputs.nouns import Ending, Unplaced
from agent.outputs.telling import Telling
from agent.outputs.worker import Lost, Standing
from tests.agent.outbox.rows import TOPICS
from tests.agent.outputs.playing import MS, S, decision


@dataclass
class Desk:
    clock: ManualClock = field(default_factory=ManualClock)
    rows: list[Row] = field(default_factory=list)
    account: Account = field(default_factory=lambda: Account(name="reject", camera="top"))
    telling: Telling = field(init=False)

    def __post_init__(self) -> None:
        numbers = itertools.count(1)
        new_id = lambda: f"id-{next(numbers)}"  # noqa: E731
        self.telling = Telling(
            events=EventMaker(TOPICS, boot_id="boot", clock=self.clock, new_id=new_id),
            append=self.rows.append,
            station="cell3-cam1",
            boot_id="boot",
            clock=self.clock,
            new_id=new_id,
        )

    def tell(self, *told: Any) -> None:
        for one in told:
            self.telling.tell(self.account, one)
        stop, ended = threading.Event(), threading.Event()
        stop.set()
        ended.set()
        self.telling.run(stop, [self.account], [ended])

    def passes(self, seconds: float) -> None:
        """With the thread's looks, until all has been looked at."""
        self.clock.advance(seconds)
        self.telling._look(self.account)

    def said(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(row.payload) for row in self.rows if row.topic.endswith(f"/{topic}")]

    def events(self) -> list[str]:
        return [one["event"] for one in self.said("event")]


def rejected(frame_id: int, late_ms: float = 1.0, **more: Any) -> Ending:
    return Ending(
        frame_id=frame_id,
        action="reject",
        cause="verdict",
        decision=decision(frame_id, "fail", S),
        due_ns=2 * S,
        acted_ns=2 * S + round(late_ms * MS),
        **more,
    )


def missed(frame_id: int, cause: Cause = "gate") -> Ending:
    return Ending(
        frame_id=frame_id, action="missed", cause=cause, decision=None, due_ns=None, detail="it hung"
    )


def test_each_ending_is_a_row_with_the_outputs_next_number_and_its_lateness() -> None:
    desk = Desk()
    desk.tell(rejected(7, 0.75), rejected(8, 2.5, merged=True, is_estimated=True))
    one, other = desk.said("actuation")
    assert [row.kind for row in desk.rows] == ["event", "event"]
    assert (one["schema"], one["output"], one["camera"]) == ("plumbline.actuation/1", "reject", "top")
    assert (one["sequence"], one["lateness_ms"], one["frame_id"]) == (1, 0.75, 7)
    assert (one["result_id"], one["verdict"], one["verdict_lateness_ms"]) == ("result-7", "fail", None)
    assert (other["sequence"], other["merged"], other["is_estimated"]) == (2, True, True)
    assert dict(desk.rows[0].properties)["type"] == "plumbline.actuation/1"
    assert desk.events() == []


def test_a_part_that_nobody_could_place_is_a_row_without_a_frame_and_an_alarm() -> None:
    desk = Desk()
    desk.tell(
        rejected(1),
        Unplaced(
            verdict="fail",
            part_id="P7",
            part_result_id="part-7",
            is_simulated=False,
            detail="camera top gave no view of it",
        ),
    )
    one = desk.said("actuation")[-1]
    assert (one["sequence"], one["action"], one["cause"], one["frame_id"]) == (2, "missed", "untracked", None)
    assert (one["part_id"], one["part_result_id"], one["verdict"]) == ("P7", "part-7", "fail")
    assert desk.events() == ["output_late"]
    assert desk.said("event")[0]["detail"] == (
        "output reject: part P7 was not acted on: camera top gave no view of it; "
        "its part verdict part-7 says which views there are"
    )
    assert desk.account.counts()["missed", "untracked"] == 1


def test_a_verdict_that_came_late_says_how_late() -> None:
    desk = Desk()
    late = Ending(
        frame_id=3,
        action="pass",
        cause="late_verdict",
        decision=decision(3, "fail", 2 * S + 40 * MS),
        due_ns=2 * S,
        is_late=True,
    )
    desk.tell(late)
    (one,) = desk.said("actuation")
    assert (one["verdict_lateness_ms"], one["lateness_ms"], one["is_late"]) == (40.0, None, True)


def test_a_trouble_is_an_alarm_when_it_begins_and_its_end_is_told_with_how_often_it_was() -> None:
    desk = Desk()
    desk.tell(missed(1))
    desk.passes(10)
    desk.tell(missed(2), missed(3, "too_late"), rejected(4))
    assert desk.events() == ["output_late"]
    (event,) = desk.said("event")
    assert event["severity"] == "alarm" and event["data"]["cause"] == "gate"
    assert event["detail"] == "output reject: the part of frame 1 was not acted on: it hung"
    assert len(desk.account.words()) == 1
    desk.passes(59)
    assert desk.events() == ["output_late"]
    desk.passes(2)
    assert desk.events() == ["output_late", "output_punctual"]
    assert desk.said("event")[-1]["data"] == {
        "output": "reject",
        "camera": "top",
        "parts": 3,
        "causes": {"gate": 2, "too_late": 1},
    }
    assert desk.account.words() == ()


def test_a_gate_that_does_not_answer_is_told_once_and_so_is_its_return() -> None:
    desk = Desk()
    desk.tell(Standing(trouble="it hung"), Standing(trouble="it is away"), Standing(trouble=None))
    assert desk.events() == ["output_failing", "output_recovered"]
    assert desk.account.words() == ()
    desk.tell(Standing(trouble="it hung again"))
    assert desk.account.words() == ("Output reject: it hung again",)


def test_a_reset_says_how_many_parts_it_concerns() -> None:
    desk = Desk()
    desk.tell(Lost(parts=12))
    (event,) = desk.said("event")
    assert (event["event"], event["severity"], event["data"]["parts"]) == ("output_reset", "warning", 12)


def test_what_a_stop_leaves_on_its_way_is_a_row_and_no_alarm() -> None:
    desk = Desk()
    desk.tell(missed(1, "stopped"))
    assert len(desk.said("actuation")) == 1 and desk.events() == []


def test_the_thread_ends_when_every_output_has_and_all_is_told() -> None:
    desk, stop, ended = Desk(), threading.Event(), threading.Event()
    desk.clock = ManualClock()
    thread = threading.Thread(target=desk.telling.run, args=(stop, [desk.account], [ended]), daemon=True)
    thread.start()
    stop.set()
    for number in range(100):
        desk.telling.tell(desk.account, rejected(number))
    ended.set()
    thread.join(60)
    assert not thread.is_alive() and len(desk.said("actuation")) == 100


@pytest.mark.parametrize("action", ACTIONS)
def test_every_count_has_a_cause_that_the_contract_knows(action: Action) -> None:
    assert set(ACTIONS[action]) <= set(CAUSES)


def test_a_part_without_id_and_frame_is_called_a_part() -> None:
    desk = Desk()
    lost = Unplaced(
        verdict="undecided", part_id=None, part_result_id="p-1", is_simulated=False, detail="gone"
    )
    desk.tell(lost)
    assert desk.said("event")[0]["detail"].startswith("output reject: a part was not acted on: gone;")


@pytest.mark.parametrize("cause", CAUSES)
def test_every_trouble_has_words_of_its_own_in_health(cause: Cause) -> None:
    desk = Desk()
    desk.tell(missed(1, cause))
    if cause == "stopped":
        assert desk.account.words() == ()
    else:
        assert desk.account.words() == (
            f"Output reject does not act on every part in time: {TROUBLES[cause]}",
        )


def test_verdicts_that_come_late_are_said_once_in_health_whatever_was_done_then() -> None:
    desk = Desk()
    desk.tell(missed(1, "no_verdict"), missed(2, "late_verdict"))
    (words,) = desk.account.words()
    assert words.count("verdicts come after the part is at the gate") == 1


def test_figures_are_of_what_was_moved_and_the_worst_stays() -> None:
    account = Account(name="reject", camera="top")
    assert account.view()["lateness_ms"] == {"count": 0, "p50": None, "p99": None, "worst": None}
    account.take(rejected(0, 99.0))
    for number in range(600):
        account.take(rejected(number, number % 8))  # the last 512 of them 64 times each
    account.take(missed(9))
    view = account.view()
    assert view["lateness_ms"] == {"count": 512, "p50": 3.0, "p99": 7.0, "worst": 99.0}
    assert view["counts"] == {"reject/verdict": 601, "missed/gate": 1}
    assert sum(account.lateness().counts) == 601
    assert account.counts()["reject", "neighbour"] == 0


def test_what_is_trouble_and_what_is_not() -> None:
    assert not is_trouble(rejected(1))
    assert is_trouble(rejected(1, is_late=True)) and is_trouble(missed(1))
    assert not is_trouble(missed(1, "stopped"))
    assert lateness_ms(missed(1)) is None
