"""A station's settings on a real disk, with a line that proves, judges and fails on cue."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.clock import ManualClock
from agent.contract.desired import SETTINGS_TYPE
from agent.contract.reported import SettingsAttempt
from agent.remote.rollout.baseline import Baseline
from agent.remote.rollout.probation import Standing
from agent.remote.settings import in_force
from agent.remote.settings.apart import HungError
from agent.remote.settings.desired import Flaw
from agent.remote.settings.rollout import SettingsRollout
from agent.remote.settings.store import FOLDER, SettingsStore
from agent.remote.settings.target import Target
from agent.settings.settings import Settings
from agent.trust.trust_set import TRUST_TYPE
from models.signing import sign

HERE = "station:site/area/line/station"
NOW = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
LATER, BEFORE = "2026-12-31T00:00:00Z", "2026-11-28T00:00:00Z"
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(4)]
ROLES: list[list[str]] = [["trust", "settings"], ["trust", "settings"], ["trust", "bundle"]]  # key 3 has none
LOCAL: dict[str, Any] = {
    "revision": 1,
    "remote": {"groups": ["press"]},
    "outbox": {"path": "outbox.sqlite3"},
    "judge": {"min_area_px": 16},
}


def trust_file(*, threshold: int = 1, epoch: int = 1) -> bytes:
    """Keys 0 and 1 may sign settings, key 2 bundles alone; key 3 is a stranger's."""
    content = {
        "schema": "plumbline.trust/1",
        "number": epoch,
        "epoch": epoch,
        "threshold": threshold,
        "keys": [
            {"public": key.public_key().public_bytes_raw().hex(), "roles": roles}
            for key, roles in zip(KEYS[:3], ROLES, strict=True)
        ],
    }
    return sign(json.dumps(content).encode(), TRUST_TYPE, *KEYS[:3])


def document(settings: Any, counter: int = 1, **changes: Any) -> dict[str, Any]:
    head = {"schema": "plumbline.desired-settings/1", "issuer": "plant", "epoch": 1, "counter": counter}
    return {**head, "address": HERE, "expires": LATER, "settings": settings, **changes}


def signed(content: Any, *signers: int, kind: str = SETTINGS_TYPE) -> bytes:
    """An envelope, by key 0 where nobody is named."""
    payload = content if isinstance(content, bytes) else json.dumps(content).encode()
    return sign(payload, kind, *(KEYS[one] for one in signers or (0,)))


@dataclass
class FakeTrial:
    standing: Standing = field(default_factory=lambda: Standing(what="goes_on", words=""))

    stood_s: float = 0.0

    def look(self) -> Standing:
        return self.standing

    def stands_s(self) -> float:
        return self.stood_s


@dataclass
class FakeRun:
    """What runs: proofs find `flaws`, probation stands as it is told."""

    flaws: Sequence[Flaw] = ()
    trials: list[FakeTrial] = field(default_factory=list)
    proven: list[Settings] = field(default_factory=list)
    hangs: str | None = None
    lets_go: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.lets_go.set()

    def prove(self, wanted: Settings, before: Settings) -> Sequence[Flaw]:
        self.proven.append(wanted)
        self.lets_go.wait(60)
        if self.hangs is not None:
            raise HungError(self.hangs)
        return self.flaws

    has_a_bundle: bool = False

    def begin(self, take: Callable[[], None]) -> str | None:
        if self.has_a_bundle:
            return "a bundle is on probation"
        take()
        return None

    def baseline(self) -> Baseline | None:
        return None

    def trial(self, wanted: Settings, before: Settings, baseline: Baseline | None) -> FakeTrial:
        self.trials.append(FakeTrial())
        return self.trials[-1]


class Station:
    """`begin` is a start of the process; `turn` is what its service does again and again."""

    def __init__(self, folder: Path, *, synced: bool | None = True, boot: str = "boot 1") -> None:
        self.folder = folder
        self.file = folder / "agent.yaml"
        self.clock = ManualClock(NOW, synced=synced)
        self.clock._boot = boot
        self.refuses: Callable[[Settings], str | None] = lambda settings: None  # with which nothing runs
        if not self.file.exists():
            (folder / "trust.json").write_bytes(trust_file())
            self.write({**LOCAL, "trust": {"file": "trust.json"}})

    @property
    def store(self) -> SettingsStore:
        return SettingsStore(folder=self.folder / FOLDER)

    def write(self, local: dict[str, Any]) -> None:
        self.local = local
        self.file.write_text(yaml.safe_dump(local), encoding="utf-8")

    def begin(self) -> Target:
        """Start, and run what is to run."""
        self.told = 0
        self.run = FakeRun()
        self.rollout = SettingsRollout(self.store, in_force.ways(self.file, {}), self.clock, told=self._tell)
        self.target = self.rollout.start()
        while (why := self.refuses(self.target.settings)) is not None:
            back = self.rollout.failed(why)
            assert back is not None, why
            self.target = back
        self.rollout.attach(self.run)
        self.target = self.rollout.target
        return self.target

    def turn(self) -> None:
        """As often as something comes of it, waiting for proofs."""
        for _ in range(12):
            self.rollout.turn()
            deadline = time.monotonic() + 10
            while self.rollout.is_proving and self.rollout._proof._found.empty():
                assert time.monotonic() < deadline
                time.sleep(0.001)
            if self.rollout.target.snapshot != self.target.snapshot:
                wanted = self.rollout.target
                why = self.refuses(wanted.settings)
                if why is None:
                    self.target = wanted
                    self.rollout.in_force(wanted)
                elif self.rollout.failed(why) is not None:
                    self.rollout.in_force(self.target)

    def offer(self, envelope: bytes) -> SettingsAttempt | None:
        self.rollout.offer(envelope)
        self.turn()
        return self.rollout.answers.last

    def judge(self, what: str, words: str = "") -> SettingsAttempt | None:
        """End the probation that goes on."""
        self.run.trials[-1].standing = Standing(what=what, words=words)  # type: ignore[arg-type]
        self.turn()
        return self.rollout.answers.last

    def edit(self, **changes: Any) -> None:
        """Edit the file and ask for a reload."""
        self.write({**self.local, **changes})
        self.rollout.reload()
        self.turn()

    def disk(self) -> dict[str, bytes]:
        """Every byte that decides what runs, by name; what was answered is not of that."""
        return {
            str(one.relative_to(self.folder)): str(one.readlink()).encode()
            if one.is_symlink()
            else one.read_bytes()
            for one in sorted(self.folder.rglob("*"))
            if (one.is_file() or one.is_symlink()) and one.name != "attempted.json"
        }

    def _tell(self) -> None:
        self.told += 1


def started(folder: Path, **how: Any) -> Station:
    station = Station(folder, **how)
    station.begin()
    return station
