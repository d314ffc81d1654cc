"""The whole suite, a process for each room: a crash ends one room, and says which test it ended.

What is APART is left out. As many rooms run at once as there are cores, and up to three times as many while
cores are idle, since most wait most of the time; what a room printed comes when it has ended, the longest
rooms are begun first.
`python -m tests.rooms [pytest's options]`, as `make test` does; exit code 0 when every room passed, else 1.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Their folders are rooms of their own; what lies loose in them is one more.
SPLIT = (("agent",), ("models",), ("deploy",), ("agent", "remote"))
TOGETHER = {  # rooms that load the same large libraries (seconds for each process) as another
    **dict.fromkeys(("models/importing", "models/parts"), "models/methods"),  # diffusers, transformers
    **dict.fromkeys(
        ("models/data", "models/student", "models/training"), "models/judging"
    ),  # lightning-fabric
    "benchmarks": "models/judging",
    "models/teaching": "models/shipping",  # the exporter
}
PARTS = {"e2e": 2, "browser": 2}  # rooms that would run on alone at the end, by every n-th file
APART = "system"  # make test-system: it needs root, a second machine's root folder, and minutes
AT = "TESTS_ROOM_AT"  # names a file that holds the test which runs now
SHARED = "TESTS_ROOMS_SHARED"  # names a folder of this run: what takes long is made there by one room for all
FIRST = (  # the longest, those that wait before those that compute
    *("e2e/1", "e2e/2", "browser/1", "browser/2", "agent/cli", "agent/uplink", "agent/page"),
    *("agent/remote/commands", "agent/teach"),
    *(
        "agent/cameras",
        "faults",
        "soak",
        "deploy/deb",
        "deploy",
        "documents",
        "models/methods",
        "models/shipping",
    ),
    *("models/judging", "agent/remote/rollout", "agent/drift", "agent/engines", "models"),
)
# Rooms share the cores among them: threads of torch that wait for a core which another room has, spin for it.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
# Hundreds of processes import the agent: without files of bytecode each of them compiles all of it anew.
COMPILED_ONCE = {"PYTHONDONTWRITEBYTECODE": ""}
LOOK_S = 5.0  # from one more room to the next: so long it takes until a room is seen in the load
IDLE_CORES = 0.25  # left over since the last look: one more room has something of it
AT_ONCE = 3  # rooms for each core, at most
NO_TESTS = 5  # pytest's exit code where the options leave none


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a room ended; `died_in` names the test that ran when a signal ended the process.

    `computed_s` is what it and its children had of the cores; the rest it waited.
    """

    room: str
    code: int
    counts: dict[str, int]
    seconds: float
    computed_s: float
    died_in: str = ""

    @property
    def is_good(self) -> bool:
        return self.code in (0, NO_TESTS)

    @property
    def failed(self) -> int:
        """At least one where the room is not good, even when no test had the time to fail."""
        return self.counts.get("failed", 0) + self.counts.get("error", 0) or int(not self.is_good)

    def ending(self) -> str:
        if self.code >= 0:
            return "" if self.is_good else f"exit {self.code}"
        return f"{signal.Signals(-self.code).name} in {self.died_in or 'no test'}"


def rooms(root: Path = HERE) -> dict[str, list[Path]]:
    """Every test file but those apart, by its room, in the order of paths."""
    found: dict[str, list[Path]] = {}
    for file in sorted(root.rglob("test_*.py")):
        parts = file.relative_to(root).parts[:-1]
        if parts[:1] == (APART,):
            continue
        depth = 1 + max((len(split) for split in SPLIT if parts[: len(split)] == split), default=0)
        room = "/".join(parts[:depth]) or "tests"
        found.setdefault(TOGETHER.get(room, room), []).append(file)
    for room, count in PARTS.items():
        files = found.pop(room, [])
        found |= {f"{room}/{n + 1}": files[n::count] for n in range(count)}
    return found


def run_room(room: str, files: Iterable[Path], options: Sequence[str]) -> tuple[Result, str]:
    """Run these files in a process of their own; what came of them, and what pytest printed."""
    with tempfile.TemporaryDirectory(prefix="plumbline-tests-") as folder:
        at = Path(folder) / "at"
        started = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "tests.rooms", *options, *map(str, files)],
            cwd=HERE.parent,
            env={**ONE_THREAD, **os.environ, **COMPILED_ONCE, AT: str(at)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            printed = process.stdout.read()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = code = os.waitstatus_to_exitcode(status)
        died_in = at.read_text() if code < 0 and at.exists() else ""
        seconds = time.monotonic() - started
    lines = printed.strip().splitlines()
    result = Result(
        room=room,
        code=code,
        counts=counted(lines[-1] if lines else ""),
        seconds=seconds,
        computed_s=used.ru_utime + used.ru_stime,
        died_in=died_in,
    )
    return result, printed


def counted(summary: str) -> dict[str, int]:
    """The numbers of pytest's closing line, such as `3 passed, 1 skipped in 0.5s`."""
    return {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|skipped|error)", summary)}


def table(results: Sequence[Result]) -> str:
    """A line for each room, and one for all of them."""
    lines = [f"{'room':24} {'passed':>6} {'failed':>6} {'skipped':>7} {'seconds':>8} {'computed':>8}"]
    for one in results:
        passed, skipped = one.counts.get("passed", 0), one.counts.get("skipped", 0)
        row = f"{one.room:24} {passed:6} {one.failed:6} {skipped:7} {one.seconds:8.1f} {one.computed_s:8.1f}"
        lines.append(f"{row}  {one.ending()}".rstrip())
    passed, skipped = (sum(one.counts.get(kind, 0) for one in results) for kind in ("passed", "skipped"))
    lines.append(f"{passed} passed, {sum(one.failed for one in results)} failed, {skipped} skipped")
    return "\n".join(lines)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """As a plugin of the room's process: `make test-fast` touches every room."""
    if items and all(one.get_closest_marker("slow") for one in items):
        raise pytest.UsageError("each test of this room is slow: make test-fast would not touch it")


def pytest_runtest_logstart(nodeid: str) -> None:
    """As a plugin of the room's process: what a crash would end is on disk before it runs."""
    Path(os.environ[AT]).write_text(nodeid)


@dataclass(slots=True)
class Load:
    """What all processes of the machine leave over, as the kernel counts it."""

    _at_s: float = field(default_factory=time.monotonic)
    _idle_s: float = field(default_factory=lambda: idle_s())

    def has_room(self) -> bool:
        """Whether some of the cores were idle since the last look; looks every LOOK_S at most."""
        at_s, idle = time.monotonic(), idle_s()
        since_s, idled_s = at_s - self._at_s, idle - self._idle_s
        if since_s < LOOK_S:
            return False
        self._at_s, self._idle_s = at_s, idle
        return idled_s / since_s > IDLE_CORES


def idle_s() -> float:
    """Of all cores together, since the machine runs; nice work gives way, what waits for a disk does not."""
    _, _, nice, _, idle, _ = Path("/proc/stat").read_text().split(maxsplit=5)
    return (int(nice) + int(idle)) / os.sysconf("SC_CLK_TCK")


def run_all(every: Mapping[str, list[Path]], options: Sequence[str]) -> Iterator[tuple[Result, str]]:
    """Every room, as it ends."""
    cores, load = os.cpu_count() or 1, Load()
    waiting = deque(sorted(every, key=lambda room: FIRST.index(room) if room in FIRST else len(FIRST)))
    running: set[Future[tuple[Result, str]]] = set()
    with ThreadPoolExecutor(AT_ONCE * cores) as pool:
        while waiting or running:
            while waiting and (len(running) < cores or (len(running) < AT_ONCE * cores and load.has_room())):
                room = waiting.popleft()
                running.add(pool.submit(run_room, room, every[room], options))
            ended, running = wait(running, LOOK_S, FIRST_COMPLETED)
            for one in ended:
                yield one.result()


def main(options: Sequence[str]) -> int:
    every = rooms()
    results = {}
    with tempfile.TemporaryDirectory(prefix="plumbline-tests-") as folder:
        os.environ[SHARED] = folder
        for result, printed in run_all(every, options):
            print(f"\n== {result.room}\n{printed.strip()}", flush=True)
            results[result.room] = result
    print()
    print(table([results[room] for room in every]))
    return 0 if all(one.is_good for one in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
