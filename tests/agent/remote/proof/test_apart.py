"""Whatever becomes of the proof process, there is one answer, and nothing of it is left."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import ANY

import pytest

from agent.bundle.bundle import open_bundle
from agent.engines.cache import EngineCache
from agent.engines.openvino import open_openvino
from agent.remote.proof import low
from agent.remote.proof.apart import Ended, prove_apart
from agent.remote.proof.document import Done, Found, Frames, Golden, NotProven, Order, Side, Step, line_of
from agent.remote.proof.prover import Prover
from agent.remote.proof.worst import proofs
from agent.remote.rollout.transaction import Proven
from tests.agent.remote.proof.shadowed import Station, write_grey
from tests.brokers import eventually

STEPS = ["candidate", "incumbent", "frames", "pictures"]
TIMEOUT_S = 60.0
CANDIDATE, INCUMBENT = "ab" * 32, "cd" * 32

# What stands in for the process: `say(text)` on its pipe.
SCRIPT = """
import os, signal, sys, time
def say(text):
    os.write(int(sys.argv[2]), text.encode())
"""


@pytest.fixture
def order(tmp_path: Path) -> Order:
    return Order(
        parent=os.getpid(),
        candidate="candidate",
        candidate_sha256=CANDIDATE,
        incumbent="incumbent",
        incumbent_sha256=INCUMBENT,
        folder=str(tmp_path),
        settings={"padding": "x" * 1_000_000},  # more than a pipe holds
    )


def found(*, sha256: str = CANDIDATE, judged: int = 0, passes: int = 0) -> Found:
    return Found(
        at="2026-11-29T13:00:00Z",
        candidate=Side(name="cells", sha256=sha256, engine="fake-f32"),
        incumbent=Side(name="cells", sha256=INCUMBENT, engine="fake-f32"),
        golden=Golden(worst_tile_delta=0.001, tolerance=0.02),
        frames=Frames(wanted=10, judged=judged, passes=passes),
    )


def run(
    order: Order,
    script: str,
    *,
    timeout_s: float = TIMEOUT_S,
    cancelled: Callable[[], bool] = lambda: False,
    max_memory_bytes: int | None = None,
) -> Found:
    return prove_apart(
        order,
        timeout_s=timeout_s,
        cancelled=cancelled,
        command=(sys.executable, "-c", SCRIPT + script),
        max_memory_bytes=max_memory_bytes,
    )


def refused(order: Order, script: str, **more: object) -> NotProven:
    with pytest.raises(NotProven) as caught:
        run(order, script, **more)  # type: ignore[arg-type]
    return caught.value


def test_a_whole_proof_is_heard(order: Order) -> None:
    line = line_of(Done(found=found())).decode()
    assert run(order, f"print('noise'); say({line!r}); time.sleep(60)") == found()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("say('no proof\\n')", "said what no proof is"),
        ('say(\'{"kind": "step", "step": "dancing"}\\n\')', "said what no proof is"),
        ('say(\'{"kind": "found"}\\n\')', "said what no proof is"),
        ("say('[' * 100_000 + '\\n')", "said what no proof is"),
        ("while True: say('x' * 10_000)", "said more than a proof can"),
        ('while True: say(\'{"kind": "step", "step": "frames"}\\n\' * 1000)', "said more than a proof can"),
        ("os._exit(3)", r"ended with exit code 3 \(at its start\)"),
        ("raise ValueError('of its own')", "exit code 1 .*: ValueError: of its own"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "ended by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed .*, mostly for want of memory"),
        ("os.close(int(sys.argv[2])); time.sleep(60)", "fell silent"),
    ],
)
def test_a_crash_and_garbage_are_one_clear_problem(
    order: Order, script: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.remote.proof.apart.END_S", 0.5)
    error = refused(order, script)
    assert error.code == 500
    assert re.search(told, str(error)), str(error)


def test_where_it_was_is_told(order: Order) -> None:
    step = line_of(Step(step="frames", done=3, of=8)).decode()
    assert "(frames 3 of 8)" in str(refused(order, f"say({step!r}); os._exit(1)"))


def test_a_hang_ends_with_its_time(order: Order) -> None:
    started = time.monotonic()
    error = refused(order, "time.sleep(600)", timeout_s=0.3)
    assert (error.code, time.monotonic() - started < 10) == (408, True)
    assert "remote.proof.timeout_s" in str(error)


def test_more_memory_than_it_may_have_ends_it(order: Order) -> None:
    error = refused(order, "held = bytearray(300_000_000); time.sleep(600)", max_memory_bytes=100 << 20)
    assert error.code == 500 and "100 may be" in str(error)


def test_it_ends_when_it_is_wanted_no_more(order: Order) -> None:
    with pytest.raises(Ended):
        run(order, "time.sleep(600)", cancelled=lambda: True)


@pytest.mark.parametrize(
    "wrong", [found(sha256="00" * 32), found(judged=3, passes=2), found(judged=11, passes=11)]
)
def test_a_proof_of_something_else_is_none(order: Order, wrong: Found) -> None:
    line = line_of(Done(found=wrong)).decode()
    assert "says what cannot be" in str(refused(order, f"say({line!r})"))


def test_what_it_started_ends_with_it(order: Order, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    refused(
        order,
        "import subprocess\n"
        "os.setpgid(0, 0)\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)",
        timeout_s=1.0,
    )
    eventually(lambda: not is_running(int(note.read_text())), "the end of its child")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_cannot_be_started(order: Order, tmp_path: Path) -> None:
    with pytest.raises(NotProven, match="cannot be started: No such file"):
        prove_apart(order, timeout_s=1, cancelled=lambda: False, command=(str(tmp_path / "none"),))


@pytest.fixture
def station(tmp_path: Path) -> Station:
    write_grey(tmp_path / "serves")
    station = Station(folder=tmp_path)
    station.keep()
    return station


def test_the_process_itself_refuses_one_that_flips_verdicts(station: Station) -> None:
    with pytest.raises(NotProven, match="1 of 8 verdicts flip") as refused:
        station.prove(write_grey(station.folder / "candidate", counter=2, threshold=0.4))
    assert refused.value.proof == Proven(worst_tile_delta=ANY, flips=1, frames=8)


def test_the_process_itself_proves_a_good_one(station: Station) -> None:
    found = station.prove(write_grey(station.folder / "candidate", counter=2))
    assert (found.frames.judged, found.flips.all) == (8, 0)
    assert found.incumbent is not None and found.candidate.engine == "openvino-f32"
    brief = found.brief()
    assert (brief.flips, brief.frames) == (0, 8)


# The process itself, killed by its own hand where it is told.
KILLED = """
import os, signal, sys
from pathlib import Path
from agent.remote.proof import work
at = {at!r}
said, renamed = work.write_all, Path.rename
def die_at(place):
    if place == at:
        os.kill(os.getpid(), signal.SIGKILL)
def say(handle, line):
    said(handle, line)
    for step in {steps!r}:
        if f'"step":"{{step}}"'.encode() in line:
            die_at(step)
def rename(self, target):
    die_at(f"before the name {{Path(target).suffix}}")
    renamed(self, target)
    die_at(f"after the name {{Path(target).suffix}}")
work.write_all, Path.rename = say, rename
work.main(int(sys.argv[2]))
"""
NAMES = [f"{when} the name {which}" for which in (".engine", "") for when in ("before", "after")]


@pytest.mark.parametrize("at", [*STEPS, *NAMES])
def test_killed_at_each_step_it_breaks_nothing_and_can_be_done_again(station: Station, at: str) -> None:
    one = write_grey(station.folder / "candidate", counter=2, threshold=0.4)
    wanted = station.settings
    cache = EngineCache(wanted.engine_cache(), 10**9)
    open_openvino(open_bundle(wanted.bundle), precision="f32", cache=cache).close()
    (engine,) = cache.entries()
    serves = engine.path.read_bytes()
    command = (sys.executable, "-c", KILLED.format(at=at, steps=STEPS))
    with pytest.raises(NotProven, match="was killed"):
        Prover(wanted=wanted, command=command).prove(one.path, wanted.bundle, cancelled=lambda: False)
    assert engine.path.read_bytes() == serves
    assert all(one.damage is None for one in cache.entries())
    assert len(proofs(station.proofs)) == (at == "after the name ")
    assert station.prove_here(one).brief() == Proven(worst_tile_delta=ANY, flips=1, frames=8)
    (kept,) = proofs(station.proofs)
    assert json.loads((kept / "proof.json").read_text())["flips"]["to_fail"] == 1


def children() -> list[int]:
    """The proof processes of this one."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            status = (entry / "stat").read_text().rpartition(")")[2].split()
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if int(status[1]) == os.getpid() and b"agent.remote.proof" in words:
            found.append(int(entry.name))
    return found


PARENT = """
import sys
from pathlib import Path
from tests.agent.remote.proof.shadowed import Station
from agent.bundle.bundle import open_bundle
from agent.remote.proof.prover import Prover
import tests.agent.remote.proof.test_apart as apart

def tell(step):
    print(apart.children()[0], flush=True)
    sys.stdin.read()

wanted = Station(folder=Path(sys.argv[1])).settings
Prover(wanted=wanted, tell=tell).prove(Path(sys.argv[2]), wanted.bundle, cancelled=lambda: False)
"""


def test_it_dies_with_the_agent(station: Station) -> None:
    one = write_grey(station.folder / "candidate", counter=2)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(station.folder), str(one.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    if parent.stdin is not None:
        parent.stdin.close()
    eventually(lambda: not is_running(child), "the end of the proof")


def test_it_has_the_lowest_priority(order: Order) -> None:
    script = f"""
sys.path.insert(0, {str(Path(low.__file__).parents[3])!r})
from agent.remote.proof.low import be_low
be_low(int(sys.argv[1]))
print(os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), len(os.sched_getaffinity(0)),
      open('/proc/self/oom_score_adj').read().strip(), 'NOTIFY_SOCKET' in os.environ,
      os.getsid(0), os.getpgid(0) == os.getpid(), file=sys.stderr)
os._exit(7)
"""
    words = str(refused(order, script)).rpartition("): ")[2].split()
    cores = low.cores(len(os.sched_getaffinity(0)))
    assert words == ["19", str(os.SCHED_IDLE), str(cores), "1000", "False", str(os.getsid(0)), "True"]


def test_one_whose_parent_has_gone_ends_before_it_begins(order: Order) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "agent.remote.proof", "1", "1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, b"")
