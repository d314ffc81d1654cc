"""The agent as systemd sees it: ready, alive while it moves, reloaded, stopped; each time as promised."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.bundle.bundle import open_bundle, write_bundle
from tests.agent.cli.calling import forked
from tests.brokers import HOST, Mosquitto, Subscriber, eventually
from tests.e2e.agent_process import AgentProcess
from tests.e2e.frozen import frozen
from tests.e2e.test_agent import verdicts
from tests.lived import living

WATCHDOG_S = 4.0
LOOK_S = 0.5  # from one sign of life to the next
FREEZES = 5  # 20 of them, and the restarts, in tests/system

pytestmark = pytest.mark.slow


class Manager:
    """Listens where $NOTIFY_SOCKET says."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._heard: list[tuple[float, str]] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while said := self._socket.recv(10_000).decode():
            self._heard.append((time.monotonic(), said))

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()

    def heard(self) -> list[tuple[float, str]]:
        """When and what, so far."""
        return list(self._heard)

    def count(self, said: str) -> int:
        return sum(one == said for _, one in self.heard())

    def fed_at(self) -> float:
        """When it heard last that everything moves."""
        return max(at for at, said in self.heard() if said == "WATCHDOG=1")

    def acts_at(self, since: float) -> float | None:
        """When it does, asked to or not told any more that everything moves; None where it does not yet."""
        heard = self.heard()
        asked = [at for at, said in heard if said == "WATCHDOG=trigger" and at > since]
        silent_at = self.fed_at() + WATCHDOG_S
        return min([*asked, silent_at]) if asked or time.monotonic() > silent_at else None

    def has_status(self, words: str) -> bool:
        return any(one.startswith("STATUS=") and words in one for _, one in self.heard())

    def environment(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": str(round(WATCHDOG_S * 1e6))}


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    one = Manager(tmp_path)
    yield one
    one.close()


@contextmanager
def standing(agent: AgentProcess, stage: str, manager: Manager) -> Iterator[None]:
    """The stage's thread is frozen and all others go on: it was caught without the interpreter."""
    while True:
        with frozen(agent.thread(stage)) as since:
            goes_on_at = since + LOOK_S / 2  # one that was on its way came before
            while manager.fed_at() < goes_on_at and manager.acts_at(since) is None:
                time.sleep(0.02)
            if manager.fed_at() > goes_on_at:
                yield
                return
        eventually(lambda since=since: manager.fed_at() > since, "it goes on")  # type: ignore[misc]


def started(agent: AgentProcess, manager: Manager) -> None:
    agent.start(**manager.environment())
    eventually(lambda: manager.count("READY=1") == 1, "it is ready")


@dataclass(frozen=True, slots=True)
class Watched:
    """A running agent, its manager and who listens to it."""

    agent: AgentProcess
    subscriber: Subscriber
    manager: Manager


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, bright: Path) -> Iterator[Watched]:
    """One for all stories of threads that stand: each leaves it going on where it was."""
    folder = tmp_path_factory.mktemp("watched")
    broker, manager = Mosquitto(folder / "mosquitto"), Manager(folder)
    agent = AgentProcess(folder, broker_port=broker.port, bundle=bright)
    subscriber = Subscriber(broker.port, "plumbline/v1/#")
    with ExitStack() as ends:
        ends.callback(manager.close)
        broker.start()
        ends.callback(broker.stop)
        subscriber.start()
        ends.callback(subscriber.stop)
        ends.callback(agent.kill)
        started(agent, manager)
        yield Watched(agent, subscriber, manager)
        assert agent.stop() == 0, agent.log()


def test_it_is_ready_reloads_and_stops_as_a_service_does(
    agent: AgentProcess, subscriber: Subscriber, manager: Manager
) -> None:
    started(agent, manager)
    eventually(lambda: manager.has_status("Running"), "words on how it stands")
    eventually(lambda: manager.count("WATCHDOG=1") >= 3, "it is alive")

    agent.settings["judge"] = {"threshold": 1e6}
    agent.settings["revision"] = 7
    agent.write_settings()
    agent.send(signal.SIGHUP)
    eventually(lambda: manager.count("READY=1") == 2, "the reload is over")
    eventually(lambda: verdicts(subscriber)[-1]["settings"]["version"] == 7, "it judges by them")
    assert verdicts(subscriber)[-1]["verdict"] != "fail"

    agent.settings["judge"] = {"threshold": "high"}
    agent.write_settings()
    agent.send(signal.SIGHUP)
    eventually(lambda: manager.count("READY=1") == 3, "the refused reload is over, too")
    assert manager.has_status("refused") and manager.has_status("judge.threshold")
    seen = len(verdicts(subscriber))
    eventually(lambda: len(verdicts(subscriber)) > seen + 5, "those before stay in force")
    assert verdicts(subscriber)[-1]["settings"]["version"] == 7

    agent.settings["judge"] = {}
    agent.settings["revision"] = 8
    agent.settings["line"] = {"ring_frames": 32}  # another run
    agent.write_settings()
    agent.send(signal.SIGHUP)
    eventually(lambda: manager.count("READY=1") == 4, "the run of the new settings")
    eventually(lambda: verdicts(subscriber)[-1]["settings"]["version"] == 8, "its records")

    asked = time.monotonic()
    assert agent.stop() == 0, agent.log()
    took_s = time.monotonic() - asked
    assert manager.count("STOPPING=1") == 1
    sequences = [one["sequence"] for one in verdicts(subscriber)]
    assert sequences == list(range(1, len(sequences) + 1))
    reloads = [one for _, one in manager.heard() if one.startswith("RELOADING=1\nMONOTONIC_USEC=")]
    assert len(reloads) == 3
    print(f"SIGTERM to exit: {took_s:.2f} s")


def test_a_port_that_is_taken_is_refused_at_a_reload_and_the_station_goes_on(
    agent: AgentProcess, subscriber: Subscriber, manager: Manager
) -> None:
    started(agent, manager)
    eventually(lambda: len(verdicts(subscriber)) >= 3, "it works")
    with socket.create_server((HOST, 0)) as other:
        agent.settings["page"] = {"port": other.getsockname()[1]}
        agent.write_settings()
        agent.send(signal.SIGHUP)
        eventually(lambda: manager.count("READY=1") == 2, "the reload is over")
    assert manager.has_status("refused") and manager.has_status("cannot listen")
    assert "outbox.sqlite3: another agent" not in agent.log()
    seen = len(verdicts(subscriber))
    eventually(lambda: len(verdicts(subscriber)) > seen + 3, "those before stay in force")
    assert agent.stop() == 0, agent.log()


def test_a_bundle_that_is_installed_by_hand_is_taken_at_the_next_reload(
    agent: AgentProcess, subscriber: Subscriber, manager: Manager, tmp_path: Path, bright: Path
) -> None:
    first = open_bundle(bright)
    newer = first.manifest.model_copy(update={"counter": first.manifest.counter + 1})
    files = {name: data for name, data in first.files.items() if name in newer.files}
    write_bundle(tmp_path / "newer", newer, files, None)
    agent.settings["bundle"] = "bundles/current"
    settings = agent.write_settings()

    def bundle(*words: str | Path) -> None:
        done = forked("-m", "agent", "bundle", *words, "-c", settings)
        assert done.code == 0, done.err

    def judges(sha256: str) -> bool:
        found = verdicts(subscriber)
        return bool(found) and found[-1]["model"]["sha256"] == sha256

    bundle("install", bright)
    started(agent, manager)
    eventually(lambda: judges(first.sha256), "the first one judges")
    bundle("install", tmp_path / "newer")
    seen = len(verdicts(subscriber))
    eventually(lambda: len(verdicts(subscriber)) > seen + 5, "it goes on")
    assert judges(first.sha256)
    agent.send(signal.SIGHUP)
    eventually(lambda: manager.count("READY=1") == 2, "the reload is over")
    eventually(lambda: judges(open_bundle(tmp_path / "newer").sha256), "the new one judges")
    bundle("rollback")
    agent.send(signal.SIGHUP)
    eventually(lambda: judges(first.sha256), "the first one judges again")
    assert agent.stop() == 0, agent.log()
    sequences = [one["sequence"] for one in verdicts(subscriber)]
    assert sequences == list(range(1, len(sequences) + 1))


@pytest.mark.parametrize("stage", ["line-top", "outbox", "camera-top", "watch", "courier"])
def test_a_thread_that_stands_is_named_and_acted_on(stage: str, watched: Watched) -> None:
    agent, manager = watched.agent, watched.manager
    seen = len(verdicts(watched.subscriber))
    eventually(lambda: len(verdicts(watched.subscriber)) >= seen + 3, "it works")
    with standing(agent, stage, manager):
        acted, logged = manager.count("WATCHDOG=trigger"), len(agent.log())
        eventually(lambda: manager.count("WATCHDOG=trigger") > acted, "the manager is told to act")
        eventually(lambda: "stage_stands" in agent.log()[logged:], "it is named")
    told = [line for line in agent.log()[logged:].splitlines() if "stage_stands" in line]
    assert f'"stage": "{stage.replace("-", " ")}"' in told[0]
    alive = manager.count("WATCHDOG=1")
    eventually(lambda: manager.count("WATCHDOG=1") > alive, "it goes on where it was")


def test_a_frozen_line_is_noticed_within_the_watchdogs_time_every_time(
    watched: Watched,
) -> None:
    agent, manager = watched.agent, watched.manager
    noticed = []
    for number in range(1, FREEZES + 1):
        time.sleep(number % 7 * 0.1)  # at another moment each time
        with frozen(agent.thread("line-top")) as since, living() as lived:
            while (acted_at := manager.acts_at(since)) is None:
                time.sleep(0.02)
        noticed.append(min(acted_at - since, lived.seconds))
        alive = manager.count("WATCHDOG=1")
        eventually(lambda alive=alive: manager.count("WATCHDOG=1") > alive, f"freeze {number} is over")  # type: ignore[misc]
    print(f"{FREEZES} freezes noticed after {min(noticed):.2f} to {max(noticed):.2f} s of {WATCHDOG_S:g} s")
    assert max(noticed) < WATCHDOG_S


def test_a_crash_leaves_the_stacks_and_the_next_start_tells_of_it(
    agent: AgentProcess, manager: Manager, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    agent.start(**manager.environment(), LOGS_DIRECTORY=str(logs))
    eventually(lambda: manager.count("READY=1") == 1, "it is ready")
    agent.send(signal.SIGABRT)
    code, stacks = agent.wait(), (logs / "crash.log").read_text()
    # Python reads stacks of threads that run on: one in ten times or so that ends it (agent/crashes.py).
    assert code in (-signal.SIGABRT, -signal.SIGSEGV)
    assert "Fatal Python error: Aborted" in stacks
    assert "agent/line/line.py" in stacks or code == -signal.SIGSEGV
    agent.start(**manager.environment(), LOGS_DIRECTORY=str(logs))
    eventually(lambda: "crashed_before" in agent.log(), "the next start says so")
    assert "Fatal Python error: Aborted" in (logs / "crash.log.before").read_text()
    assert agent.stop() == 0


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("judge", {"threshold": "high"}, 2),
        ("bundle", "/nowhere", 2),
        ("outbox", {"path": "/nowhere/outbox.sqlite3"}, 1),  # a disk may be mounted later
        ("page", {"port": 1, "host": "192.0.2.1"}, 1),  # a network may come up later
    ],
)
def test_what_no_other_start_mends_ends_with_2_and_the_rest_with_1(
    key: str, value: object, code: int, agent: AgentProcess
) -> None:
    agent.settings[key] = value  # type: ignore[assignment]
    agent.start()
    assert agent.wait() == code
    assert len(agent.log().splitlines()) < 12 and "Traceback" not in agent.log()
