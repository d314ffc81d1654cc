"""An act that takes long is begun, and asked for again by whoever began it, until it is done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.contract.commands import NotDoneError
from agent.page.jobs import AT_ONCE, KEPT, MAX_SAID, Jobs, Say
from agent.page.sources import Json
from tests import plain_http
from tests.agent.page.station import Station, running
from tests.agent.page.test_acts import act


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with running(tmp_path) as station:
        yield station
        station.desk.may_end.set()


def look(station: Station, job: str, after: int) -> httpx.Response:
    return plain_http.get(f"{station.page.url}api/jobs/{job}?after={after}", timeout=60)


def test_what_takes_long_says_how_far_it_is_and_then_what_came_of_it(station: Station) -> None:
    station.desk.says["doctor"] = [("disk: room", {"looked_at": 1}), ("disk: speed", {"looked_at": 2})]
    station.desk.answers["doctor"] = {"wrong": 0}
    station.desk.may_end.clear()
    answer = act(station, "doctor", {})
    assert answer.status_code == 202
    told = answer.json()
    assert told["said"] == [
        {"message": "disk: room", "looked_at": 1},
        {"message": "disk: speed", "looked_at": 2},
    ]
    again = look(station, told["job"], 1)
    assert (again.status_code, again.json()["said"]) == (202, told["said"][1:])
    station.desk.may_end.set()
    ended = look(station, told["job"], 2)
    assert (ended.status_code, ended.json()) == (200, {"wrong": 0})
    assert look(station, told["job"], 2).json() == {"wrong": 0}, "an answer may get lost on its way"
    assert [name for name, _, _ in station.desk.asked] == ["doctor"], "it was begun once"


def test_a_refusal_that_comes_late_is_told_as_one_that_comes_at_once(station: Station) -> None:
    station.desk.may_end.clear()
    job = act(station, "rollback", {"reason": "worse"}).json()["job"]
    station.desk.refuses = NotDoneError("impossible", "there is no bundle before this one")
    station.desk.may_end.set()
    answer = look(station, job, 0)
    assert (answer.status_code, answer.text) == (409, "there is no bundle before this one\n")


@pytest.mark.parametrize("after", ["0", "", "-1", "9" * 5000, "x"])
def test_a_number_that_nobody_began_is_not_there(station: Station, after: str) -> None:
    answer = plain_http.get(f"{station.page.url}api/jobs/nothing?after={after}", timeout=60)
    assert answer.status_code == 404
    assert "look what was done" in answer.text


def waits(ended: threading.Event, answer: Json) -> Any:
    def do(say: Say) -> Json:
        ended.wait()
        return answer

    return do


def test_another_person_is_told_nothing_of_it() -> None:
    jobs, ended = Jobs(), threading.Event()
    ended.set()
    job = jobs.begin("anna", waits(ended, {}))
    assert jobs.of(job.id, "anna") is job
    assert jobs.of(job.id, "emma") is None


def test_no_more_are_done_at_once_and_kept_than_is_allowed() -> None:
    jobs, ended = Jobs(), threading.Event()
    begun = [jobs.begin("anna", waits(ended, {"number": number})) for number in range(AT_ONCE)]
    with pytest.raises(NotDoneError, match="ask again"):
        jobs.begin("emma", waits(ended, {}))
    ended.set()
    for one in begun:
        assert one.is_done.wait(60)
    later = []
    for _ in range(KEPT):
        later.append(jobs.begin("anna", waits(ended, {})))
        assert later[-1].is_done.wait(60)
    assert all(jobs.of(one.id, "anna") is None for one in begun)
    assert all(jobs.of(one.id, "anna") is one for one in later)


def test_one_that_talks_for_ever_is_heard_to_its_bound() -> None:
    def do(say: Say) -> Json:
        for number in range(2 * MAX_SAID):
            say("step", {"number": number})
        return {}

    job = Jobs().begin("anna", do)
    assert job.is_done.wait(60)
    assert [one["number"] for one in job.said] == list(range(MAX_SAID))
