"""The workshop's process: found or not, heard, ended with all that it started, and why it made nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.contract.taught import Far, Made, Planned
from agent.line.way import RightOfWay
from agent.teach.workshop import Hearing, Wanted, WorkshopError, find, train
from tests.agent.teach.workshops import STEPS, FakeWorkshop
from tests.brokers import eventually


@pytest.fixture
def fake(tmp_path: Path) -> FakeWorkshop:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "1.png").touch()
    return FakeWorkshop(tmp_path / "lab")


def wanted(tmp_path: Path) -> Wanted:
    return Wanted(
        data=tmp_path / "parts", out=tmp_path / "out", name="plate", preset="nano", minutes=30, target=0.05
    )


def running(fake: FakeWorkshop, tmp_path: Path) -> Hearing:
    return fake.run(wanted(tmp_path), fake.program, way=RightOfWay())


def test_it_says_the_plan_how_far_it_is_and_what_it_made(fake: FakeWorkshop, tmp_path: Path) -> None:
    said = [one for one in running(fake, tmp_path) if one is not None]
    assert isinstance(said[0], Planned) and said[0].seconds == 90
    far = [one.share for one in said if isinstance(one, Far)]
    assert len(far) == STEPS and far[-1] == 1
    made = said[-1]
    assert isinstance(made, Made) and made.bundle == str(tmp_path / "out" / "bundle")
    assert fake.asked == [
        [
            *("teach", str(tmp_path / "parts"), "--json", "--out", str(tmp_path / "out"), "--name", "plate"),
            *("--preset", "nano", "--minutes", "30", "--target-frr", "0.05"),
        ]
    ]


def test_one_whose_end_takes_longer_than_it_has_when_it_is_asked_has_made_it(
    fake: FakeWorkshop, tmp_path: Path
) -> None:
    fake.cue(lingers=2.5)
    assert isinstance([one for one in running(fake, tmp_path) if one is not None][-1], Made)


def test_where_it_is_not_installed_it_is_said_with_how_to(tmp_path: Path) -> None:
    (tmp_path / "plumbline-lab").touch()
    with pytest.raises(WorkshopError, match=r"not installed here: no .*plumbline-lab; pip install"):
        find(str(tmp_path / "python"))
    assert os.access(find(), os.X_OK)


@pytest.mark.parametrize("deaf", [False, True], ids=["asked", "killed, since it hears nobody"])
def test_it_is_dead_once_it_is_closed_and_goes_on_where_it_was(
    fake: FakeWorkshop, tmp_path: Path, deaf: bool
) -> None:
    fake.cue(waits_at=7, deaf=deaf)
    going = running(fake, tmp_path)
    assert any(isinstance(one, Far) and one.share == 7 / STEPS for one in going)
    assert fake.is_running()
    going.close()
    assert not fake.is_running()
    fake.cue()
    assert isinstance([one for one in running(fake, tmp_path) if one is not None][-1], Made)
    assert fake.began == [0, 7]


@pytest.mark.parametrize(
    ("cue", "words"),
    [
        ({"dies_at": 5}, "most likely because memory ran out; what it has done is kept"),
        ({"full_at": 5}, "No space left on device; what it has done is kept"),
        ({"refuses": "--minutes 30: edge takes 90 minutes here"}, "edge takes 90 minutes here"),
        ({"nonsense": "Traceback"}, "said what it cannot say, Traceback; is it of this version"),
        ({"nonsense": '{"schema": "plumbline-lab.teach-said/9", "kind": "far"}'}, "is it of this version"),
        ({"empty": True}, "ended without a bundle"),
    ],
)
def test_it_says_why_there_is_no_bundle(
    fake: FakeWorkshop, tmp_path: Path, cue: dict[str, Any], words: str
) -> None:
    fake.cue(**cue)
    with pytest.raises(WorkshopError, match=words):
        list(running(fake, tmp_path))
    assert not fake.is_running()


def test_a_program_that_cannot_be_started_is_said(fake: FakeWorkshop, tmp_path: Path) -> None:
    nowhere = (str(tmp_path / "no-python"),)
    with pytest.raises(WorkshopError, match=r"not started \(No such file"):
        list(train(wanted(tmp_path), fake.program, way=RightOfWay(), launch=nowhere))


HOLDER = """
import json, os, sys
from pathlib import Path
from agent.line.way import RightOfWay
from agent.teach.workshop import Wanted, train
data, out, program = map(Path, sys.argv[1:])
one = Wanted(data=data, out=out, name="plate", preset="nano", minutes=30, target=0.05)
for _ in train(one, program, way=RightOfWay()):
    pid = program.with_name("pid")
    if pid.exists():
        print(pid.read_text(), flush=True)
"""


@pytest.mark.timeout(240)
def test_it_is_the_lowest_and_the_first_to_go_and_dies_with_whoever_asked(
    fake: FakeWorkshop, tmp_path: Path
) -> None:
    fake.cue(waits_at=3)
    words = [sys.executable, "-c", HOLDER, tmp_path / "parts", tmp_path / "out", fake.program]
    with subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        number = int(holder.stdout.readline())
        try:
            assert os.sched_getscheduler(number) == os.SCHED_IDLE
            assert os.getpriority(os.PRIO_PROCESS, number) == 19
            assert os.getpgid(number) == number != os.getpgid(holder.pid)
            score = Path(f"/proc/{number}/oom_score_adj").read_text()
            assert int(score) == 1000
            assert len(os.sched_getaffinity(number)) == max(1, len(os.sched_getaffinity(0)) // 4)
            environment = Path(f"/proc/{number}/environ").read_text().split("\0")
            assert f"OMP_NUM_THREADS={len(os.sched_getaffinity(number))}" in environment
        finally:
            holder.kill()
    eventually(lambda: not fake.is_running(), "it dies with its parent", 60)
