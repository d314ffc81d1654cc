"""Threads live and die together: the first failure stops all and is raised where they were started."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from agent.crew import Crew, CrewError, name_threads
from tests.brokers import DEADLINE_S, eventually


class Sensor(Exception):
    """What goes wrong in these tests."""


def wait_for_stop(stop: threading.Event) -> None:
    assert stop.wait(DEADLINE_S)


def test_members_run_until_they_are_dismissed() -> None:
    crew = Crew()
    ended: list[str] = []

    def run(stop: threading.Event) -> None:
        wait_for_stop(stop)
        ended.append(threading.current_thread().name)

    crew.start("one", run)
    crew.start("two", run)
    assert crew.is_alive("one") and crew.is_alive("two") and not crew.is_alive("three")
    crew.dismiss()
    assert sorted(ended) == ["one", "two"]
    assert not crew.is_alive("one")


def test_the_first_failure_stops_everybody_and_is_raised() -> None:
    crew = Crew()
    stopped = threading.Event()

    def fail(stop: threading.Event) -> None:
        raise Sensor("unplugged")

    def notice(stop: threading.Event) -> None:
        wait_for_stop(stop)
        stopped.set()

    crew.start("notices", notice)
    crew.start("fails", fail)
    crew.wait(DEADLINE_S)
    assert crew.stop.is_set()
    with pytest.raises(Sensor, match="unplugged"):
        crew.dismiss()
    assert stopped.is_set()


def test_later_failures_do_not_take_the_place_of_the_first() -> None:
    crew = Crew()

    def fail_when_stopped(stop: threading.Event) -> None:
        wait_for_stop(stop)
        raise RuntimeError("only because the others stopped")

    def fail(stop: threading.Event) -> None:
        raise Sensor("unplugged")

    crew.start("second", fail_when_stopped)
    crew.start("first", fail)
    with pytest.raises(Sensor):
        crew.dismiss()


def test_a_member_that_ends_by_itself_stops_nobody() -> None:
    crew = Crew()
    crew.start("stays", wait_for_stop)
    crew.start("ends", lambda stop: None)
    eventually(lambda: not crew.is_alive("ends"), "the short member ends")
    assert not crew.stop.is_set() and crew.is_alive("stays")
    crew.dismiss()


def test_waiting_ends_with_its_timeout() -> None:
    crew = Crew()
    crew.wait(0.0)
    assert not crew.stop.is_set()


def test_a_member_that_does_not_come_home_is_named() -> None:
    crew = Crew(join_timeout_s=0.1)
    let_go = threading.Event()
    crew.start("camera-top", lambda stop: wait_for_stop(let_go))
    crew.start("punctual", wait_for_stop)
    with pytest.raises(CrewError, match=r"threads camera-top did not stop within 0\.1 s"):
        crew.dismiss()
    let_go.set()
    eventually(lambda: not crew.is_alive("camera-top"), "the late member ends")


def test_linux_knows_the_names_of_threads_too() -> None:
    crew = Crew()
    crew.start("line-of-a-long-name", wait_for_stop)
    name_threads()
    named = {file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")}
    crew.dismiss()
    assert "line-of-a-long-" in named
    assert Path("/proc/self/comm").read_text().strip() not in ("MainThread", "line-of-a-long-")
