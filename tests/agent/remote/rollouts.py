"""An updater over a real depot, with bytes, proofs and lines that fail on cue."""

from __future__ import annotations

import base64
import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.bundle.bundle import Bundle, open_bundle
from agent.clock import Clock, ManualClock
from agent.contract.desired import INSTALL_TYPE
from agent.contract.reported import BundleAttempt
from agent.errors import PlumblineError
from agent.remote.changes import NAME, ChangeFile
from agent.remote.rollout.baseline import Sample
from agent.remote.rollout.begin import Begun, begin
from agent.remote.rollout.depot import Depot
from agent.remote.rollout.means import Means
from agent.remote.rollout.offers import read_offer
from agent.remote.rollout.orders import Said
from agent.remote.rollout.recorded import BundleRecord
from agent.remote.rollout.transaction import Proven, Record
from agent.remote.rollout.updater import Updater
from agent.remote.rollout.witness import Witness
from agent.remote.transport.fetch import Order, Progress
from agent.remote.turns import Turns
from agent.settings.remote import Probation
from agent.trust.envelope import encoding
from agent.trust.trust_set import TrustedKey, TrustSet

HERE = "station:site/area/line/station"
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(4)]
LIMITS = Probation(verdicts=20, seconds=10.0)


def trust(*, threshold: int = 1, epoch: int = 1) -> TrustSet:
    """Keys 0 and 1 may sign bundles, key 2 settings alone; key 3 is a stranger's."""
    roles: list[tuple[Any, ...]] = [
        ("trust", "bundle", "settings"),
        ("trust", "bundle"),
        ("trust", "settings"),
    ]
    return TrustSet(
        schema="plumbline.trust/1",
        number=max(epoch, 1),
        epoch=epoch,
        threshold=threshold,
        keys=tuple(
            TrustedKey(public=key.public_key().public_bytes_raw().hex(), roles=role)
            for key, role in zip(KEYS[:3], roles, strict=True)
        ),
    )


def signed(content: Any, *signers: int, kind: str = INSTALL_TYPE) -> bytes:
    """An envelope."""
    payload = content if isinstance(content, bytes) else json.dumps(content).encode()
    return json.dumps(
        {
            "payloadType": kind,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [
                {"sig": base64.b64encode(KEYS[one].sign(encoding(payload, kind))).decode()}
                for one in signers or (0,)
            ],
        }
    ).encode()


def desired(source: Path, counter: int, **changes: Any) -> dict[str, Any]:
    """What a document for the bundle at `source` says."""
    bundle = open_bundle(source)
    return {
        "schema": "plumbline.desired-bundle/1",
        "issuer": "plant",
        "epoch": 1,
        "counter": counter,
        "address": HERE,
        "expires": "2030-01-01T00:00:00Z",
        "target": {
            "id": bundle.manifest.name,
            "sha256": bundle.sha256,
            "size_bytes": sum(map(len, bundle.files.values())),
        },
        "sources": [{"kind": "folder", "path": str(source)}],
        **changes,
    }


class Told(PlumblineError):
    def __init__(self, message: str, code: int, proof: Proven | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.proof = proof


@dataclass(slots=True, kw_only=True)
class FakeFetch:
    """Copies from the first folder; `waits` has it stand until it is cancelled, `fails` raise once each."""

    depot: Depot
    waits: bool = False
    trouble: str | None = None  # that it tells of while it waits
    fails: list[PlumblineError] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    started: threading.Event = field(default_factory=threading.Event)

    def __call__(
        self,
        order: Order,
        *,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
        time_left_s: float,
    ) -> None:
        self.orders.append(order)
        self.started.set()
        while self.waits:
            progress(
                Progress(
                    bytes_done={"model.onnx": 100},
                    size_bytes=order.target.size_bytes,
                    trouble=self.trouble,
                    linked_s=5,
                )
            )
            time.sleep(0.01)
            if cancelled():
                raise Told("given up", 409)
        if self.fails:
            raise self.fails.pop(0)
        (source,) = order.sources
        assert source.kind == "folder" and time_left_s > 0
        found = open_bundle(Path(source.path))
        self.depot.begin()
        for name, content in found.files.items():
            self.depot.put(name, [content], sha256=None, size=len(content))


@dataclass(slots=True, kw_only=True)
class FakeProve:
    """Refuses the counters that it is told."""

    refused: set[int] = field(default_factory=set)
    dies: bool = False
    proven: list[int] = field(default_factory=list)
    beside: list[Path | None] = field(default_factory=list)  # what each was held against

    def __call__(self, candidate: Path, incumbent: Path | None, *, cancelled: Callable[[], bool]) -> Proven:
        assert candidate.parent.name == "bundles" and len(candidate.name) == 64
        counter = open_bundle(candidate).manifest.counter
        if counter in self.refused:
            raise Told(f"counter {counter}: 9 flips", 422, Proven(worst_tile_delta=0.01, flips=9, frames=50))
        self.proven.append(counter)
        self.beside.append(incumbent)
        return Proven(worst_tile_delta=0.0004, flips=1, frames=50)


@dataclass(slots=True, kw_only=True)
class FakeStage:
    """Lines that judge by whatever they are told, as soon as they are."""

    serves: str | None
    opens: set[str] = field(default_factory=set)
    cannot: set[str] = field(default_factory=set)  # be opened
    history: list[str | None] = field(default_factory=list)

    def open(self, path: Path) -> None:
        if path.name in self.cannot:
            raise Told(f"no engine for {path.name[:12]}", 500)
        open_bundle(path)
        self.opens.add(path.name)

    def take_over(self, sha256: str) -> None:
        assert sha256 in self.opens or sha256 == self.serves
        self.serves = sha256
        self.history.append(sha256)

    def withdraw(self) -> None:
        self.serves = None
        self.history.append(None)

    def settle(self) -> None:
        self.opens &= {self.serves}

    def in_force(self) -> str | None:
        return self.serves

    def used(self) -> frozenset[str]:
        return frozenset(one for one in (self.serves,) if one is not None)


class Rig:
    """A station of which only the updater runs, in this thread; `began` is its start."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        limits: Probation = LIMITS,
        refused: tuple[int, ...] = (),
        threshold: int = 1,
    ) -> None:
        self.depot = Depot(folder=folder)
        self.clock = clock or ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc), synced=True)
        self.said: list[str] = []
        self.begun: Begun = begin(self.depot, self.clock, self.said.append)
        self.fetch = FakeFetch(depot=self.depot)
        self.prove = FakeProve(refused=set(refused))
        self.stage = FakeStage(serves=self.begun.serves)
        self.events: list[tuple[str, str, str]] = []
        self.recorded = ChangeFile(folder.parent / NAME, self.clock)
        self.changes = 0
        self.attempts: list[BundleAttempt] = []  # as they were reported
        self.trust = trust(threshold=threshold)
        self.witness = Witness(self.clock)
        self.settings: str | None = None  # the state of those that are under way
        self.turns = Turns(lambda: self.settings)
        self.updater = Updater(
            self.begun,
            Means(
                depot=self.depot,
                fetch=self.fetch,
                prove=self.prove,
                stage=self.stage,
                turn=self.turns,
                trusted=lambda bundle: None,
                witness=self.witness,
                limits=limits,
                kept_free=0,
                tell=self._tell,
                clock=self.clock,
                recorded=BundleRecord(self.recorded),
            ),
            read=lambda data, reading, transaction: read_offer(
                data,
                trust=self.trust,
                addresses={HERE, "group:press"},
                reading=reading,
                transaction=transaction,
            ),
            changed=self._changed,
        )
        self.answers: list[Said] = []

    @property
    def record(self) -> Record:
        return self.updater._carrying.record

    def offer(self, document: bytes) -> Said:
        """Give it a document, and have its answer."""
        count = len(self.answers)
        self.updater.take(document, self.answers.append)
        self.until(lambda: len(self.answers) > count)
        return self.answers[-1]

    def until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        ends = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < ends, (self.record, self.updater.words())
            self.updater.turn(0.002)

    def until_state(self, *states: str) -> None:
        self.until(lambda: self.record.state in states)

    def verdicts(self, count: int, *, bundle: str | None = None, every_s: float = 1.0, **more: Any) -> None:
        """Records of the bundle that serves, spread over time."""
        for _ in range(count):
            plain = {"is_error": False, "is_reject": False, "latency_ms": 20.0, "score": 40.0}
            sample = Sample(
                bundle=bundle or self.stage.serves or "none",
                settings="s",
                at_ns=self.clock.monotonic_ns(),
                **{**plain, **more},
            )
            self.witness._recent.append(sample)
            self.witness._fresh.append(sample)
            if isinstance(self.clock, ManualClock):
                self.clock.advance(every_s)

    def ended(self) -> Rig:
        """To idle, with verdicts that are as good as ever."""
        self.until_state("probation", "idle", "failed")
        if self.record.state == "probation":
            self.verdicts(40)
        self.until(lambda: self.record.state == "idle")
        self.updater.turn()
        return self

    def close(self, *, in_order: bool = True) -> None:
        self.updater._duties.leave(5.0)
        self.updater.end(in_order=in_order)

    def _tell(self, event: str, severity: Any, detail: str, **data: Any) -> None:
        self.events.append((event, severity, detail))

    def _changed(self) -> None:
        self.changes += 1
        if (attempted := self.updater.report().attempted) is not None:
            self.attempts.append(attempted)


def installed(folder: Path, *sources: Path) -> None:
    """A depot in which these were put in force by hand, one after the other."""
    from tests.agent.remote.depots import make_hand

    for source in sources:
        make_hand(folder).install(source)


def sources(folder: Path, *counters: int) -> dict[int, Path]:
    """Small bundles with these counters."""
    from tests.agent.remote.depots import write_numbered

    for counter in counters:
        write_numbered(folder / f"source-{counter}", counter)
    return {counter: folder / f"source-{counter}" for counter in counters}


def digest(source: Path) -> str:
    return open_bundle(source).sha256


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to, symlinks=True)
    return to


def whole(bundle: Bundle) -> int:
    return bundle.manifest.counter


def asked(rig: Rig, ask: Callable[[], Said]) -> Said:
    """By another thread, as everybody asks, while the updater's own goes on."""
    answers: list[Said] = []
    thread = threading.Thread(target=lambda: answers.append(ask()))
    thread.start()
    rig.until(lambda: bool(answers))
    thread.join()
    return answers[0]
