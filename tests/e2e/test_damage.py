"""A station with a damaged outbox comes up by itself and delivers what can be read."""

from __future__ import annotations

import random
import resource
from contextlib import closing
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.outbox import file as outbox_file
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from tests.agent.outbox.rows import crop, verdict
from tests.agent.outbox.test_salvage import PAGE, big, overwrite
from tests.brokers import Subscriber, eventually
from tests.e2e.agent_process import AgentProcess
from tests.e2e.test_agent import last_status, of_kind, recorded, verdicts

WAITING = 600


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_rows_around_a_spoilt_page_arrive_after_one_start(
    agent: AgentProcess, subscriber: Subscriber, tmp_path: Path, share: float
) -> None:
    path = tmp_path / "outbox.sqlite3"
    outbox = Outbox(Database(path, clock=SystemClock()))
    outbox.open()
    outbox.append(
        [row for n in range(1, WAITING + 1) for row in (big(verdict(n), 1300), crop(n, 300))]
    ).result()
    outbox.close()
    with closing(outbox_file.connect(path, synchronous="FULL")) as database:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
    overwrite(path, int(pages * share), random.Random(5).randbytes(PAGE))
    agent.start()
    arrived = f"{WAITING - 12} of {WAITING}, and new ones"
    eventually(lambda: len(numbers(subscriber)) > WAITING - 12 and new(subscriber), arrived)
    assert agent.stop() == 0, agent.log()
    old = [number for number in numbers(subscriber) if number <= WAITING]
    assert list(dict.fromkeys(old)) == sorted(set(old)), "in order"
    assert min(new(subscriber)) == WAITING + 1
    events = [message.json() for message in of_kind(subscriber, "event")]
    told = [event["data"] for event in events if event["event"] == "outbox_set_aside"]
    if told:
        (data,) = told
        gone = {number for first, last in data["lost_sequences"] for number in range(first, last + 1)}
        assert gone == set(range(1, WAITING + 1)) - set(old)
        assert Path(data["moved_to"]).exists()
    else:  # an index that nothing needed, or a row that its digest gave away
        assert len(set(old)) >= WAITING - 1


def numbers(subscriber: Subscriber) -> list[int]:
    found = [message for message in list(subscriber.received) if "/verdict/" in message.topic]
    return [one.json().get("sequence") or int(one.json()["id"].split("-")[1]) for one in found]


def new(subscriber: Subscriber) -> list[int]:
    return [number for number in numbers(subscriber) if number > WAITING]


def test_an_agent_without_a_file_to_spare_goes_on_and_says_its_last_words(
    agent: AgentProcess, subscriber: Subscriber, tmp_path: Path
) -> None:
    agent.settings["page"] = {"enabled": False}
    agent.start()
    eventually(lambda: len(verdicts(subscriber)) >= 5, "the first verdicts")
    assert agent._process is not None
    pid = agent._process.pid
    _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, most))
    # Its pictures are files, so the camera is lost, which is a new status to tell.

    def is_lost() -> bool:
        return any(one.json()["state"] == "degraded" for one in of_kind(subscriber, "status")[-1:])

    eventually(is_lost, "the camera is lost")
    assert agent.is_running()
    assert agent.stop() == 0, agent.log()
    assert last_status(subscriber).json()["state"] == "stopped"
    assert numbers(subscriber) == list(range(1, recorded(tmp_path) + 1))
