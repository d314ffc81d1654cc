"""A process of ours stands still while a frame is judged, and never for good."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.line.way import LEAST_SHARE, MOST_AHEAD_S, RightOfWay
from tests.brokers import eventually


class Time:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def spins() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield process
        process.kill()


@pytest.fixture
def spinning() -> Iterator[subprocess.Popen[bytes]]:
    with spins() as process:
        yield process


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    with spins() as process:
        yield process


def stands(process: subprocess.Popen[bytes]) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_it_stands_while_frames_are_judged_and_runs_between_them(
    spinning: subprocess.Popen[bytes],
) -> None:
    now = Time()
    way = RightOfWay(now)
    with way.gives_way(spinning.pid):
        for _ in range(3):
            now.now_s += 1
            with way.judging():
                eventually(lambda: stands(spinning), "it stands")
                with way.judging():  # of another camera
                    pass
                assert stands(spinning)
            eventually(lambda: not stands(spinning), "it runs")
        now.now_s += 1
        with way.judging():
            eventually(lambda: stands(spinning), "it stands")
    eventually(lambda: not stands(spinning), "it runs on when it has to give way no more")


def test_one_that_begins_while_a_frame_is_judged_is_let_run_first(
    spinning: subprocess.Popen[bytes],
) -> None:
    way = RightOfWay()
    with way.judging(), way.gives_way(spinning.pid):
        pass
    assert not stands(spinning)


def test_a_line_that_judges_all_the_time_leaves_it_its_least_share(
    spinning: subprocess.Popen[bytes],
) -> None:
    now, ran = Time(), 0
    way = RightOfWay(now)
    with way.gives_way(spinning.pid):
        now.now_s += 0.1
        for _ in range(500):
            with way.judging():
                ran += not way._stands
                now.now_s += 0.1
    assert ran == pytest.approx(LEAST_SHARE * 500, abs=2)


def test_what_it_had_while_the_line_stood_is_not_held_against_it(spinning: subprocess.Popen[bytes]) -> None:
    now = Time()
    way = RightOfWay(now)
    with way.gives_way(spinning.pid):
        now.now_s += 3600
        ran = 0
        for _ in range(round(MOST_AHEAD_S / LEAST_SHARE / 0.1) + 2):
            with way.judging():
                ran += not way._stands
                now.now_s += 0.1
    assert ran


def test_it_runs_on_only_when_no_frame_has_come_for_a_moment(
    spinning: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.line.way.LINGER_S", 0.5)
    now = Time()
    way = RightOfWay(now)
    with way.gives_way(spinning.pid):
        for _ in range(4):
            now.now_s += 0.1
            with way.judging():
                eventually(lambda: stands(spinning), "it stands")
            assert way._stands
        eventually(lambda: not stands(spinning), "it runs")


def test_frames_are_judged_whatever_became_of_the_process(spinning: subprocess.Popen[bytes]) -> None:
    way = RightOfWay()
    with way.gives_way(spinning.pid):
        spinning.kill()
        spinning.wait()
        for _ in range(3):
            with way.judging():
                time.sleep(0.001)


def test_without_such_a_kernel_the_line_judges_all_the_same(
    spinning: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("os.pidfd_open", unknown)
    way = RightOfWay()
    with way.gives_way(spinning.pid), way.judging():
        assert not stands(spinning)


def test_what_the_block_raises_is_raised_and_it_runs_on(spinning: subprocess.Popen[bytes]) -> None:
    now = Time()
    way = RightOfWay(now)
    with pytest.raises(ValueError, match="bad frame"), way.gives_way(spinning.pid):
        now.now_s += 1
        with way.judging():
            eventually(lambda: stands(spinning), "it stands")
            raise ValueError("bad frame")
    eventually(lambda: not stands(spinning), "it runs")


def test_two_processes_give_way_at_once_and_each_runs_on_when_its_own_block_ends(
    spinning: subprocess.Popen[bytes], other: subprocess.Popen[bytes]
) -> None:
    now = Time()
    way = RightOfWay(now)
    with way.gives_way(spinning.pid):
        now.now_s += 1
        with way.judging():
            eventually(lambda: stands(spinning), "it stands")
            with way.gives_way(other.pid):
                eventually(lambda: stands(other), "the one that comes stands, too")
                assert stands(spinning)
            eventually(lambda: not stands(other), "its block has ended")
            assert stands(spinning)
        eventually(lambda: not stands(spinning), "no frame is judged any more")
        now.now_s += 1
        with way.judging():
            eventually(lambda: stands(spinning), "it stands as before")
    eventually(lambda: not stands(spinning), "its block has ended")
