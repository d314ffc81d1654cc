"""A simulated station: the real rules of envelopes, counters, expiry and rollouts around pretended work.

It does one duty with each `tick`, and says what it would publish. What goes wrong on it, and how it lies, is
given on cue; everything else it does as a station has to.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError

from agent.clock import Clock, ManualClock, new_uuid7, rfc3339
from agent.contract.desired import (
    INSTALL_TYPE,
    MAX_DOCUMENT_BYTES,
    SETTINGS_TYPE,
    DesiredBundle,
    DesiredSettings,
    group_address,
    read_bundle,
    read_settings,
    station_address,
)
from agent.contract.payloads import Status, StatusName, encode
from agent.contract.reported import (
    ActiveSettings,
    AttemptState,
    BundleAttempt,
    BundleRef,
    BundleReport,
    ClockReport,
    ProblemReport,
    Reported,
    SettingsAttempt,
    SettingsReport,
)
from agent.contract.strict_json import StrictJsonError
from agent.contract.topics import Topics
from agent.remote.rollout import rollout
from agent.remote.rollout.transaction import (
    Action,
    Answer,
    Boundary,
    Breached,
    Do,
    Event,
    Happened,
    Instruction,
    Offered,
    Point,
    Problem,
    Record,
    Refused,
    Seen,
    TakeUp,
)
from agent.remote.settings.merge import merged
from agent.trust.envelope import SignatureError, opened, parse
from agent.trust.freshness import Version, expiry, read, standing
from agent.trust.trust_set import TrustSet
from tests.fleet.sources import Sources, Ware

Stage: TypeAlias = Literal["verify", "prove", "probation"]
Lie: TypeAlias = Literal["silent", "wrong_version", "stale_report", "never_ends"]
YEAR_1970 = datetime(1970, 1, 1, 0, 1, tzinfo=timezone.utc)


AS_INSTALLED: Mapping[str, Any] = {"revision": 0, "line": {"mode": "accountable", "ring_frames": 64}}


def settings_digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


@dataclass(kw_only=True)
class Cues:
    """What goes wrong on a station. `fails` maps a bundle's digest, or that of settings, to where it does."""

    fails: dict[str, Stage] = field(default_factory=dict)
    lie: Lie | None = None
    ticks: int = 1  # for each duty: a slow link, a slow machine


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is in force; `source` as reported."""

    content: Mapping[str, Any]
    issuer: str | None = None
    epoch: int | None = None
    counter: int | None = None

    @property
    def sha256(self) -> str:
        return settings_digest(self.content)


class Station:
    """For one thread. `out` are messages that are to be published, retained."""

    def __init__(
        self,
        topics: Topics,
        *,
        trust: TrustSet,
        sources: Sources,
        bundle: Ware,
        groups: tuple[str, ...] = (),
        clock: Clock | None = None,
        cues: Cues | None = None,
    ) -> None:
        self.topics = topics
        self.groups = groups
        self._subscriptions = topics.documents(groups)
        self.cues = cues or Cues()
        self.out: list[tuple[str, bytes]] = []
        self.is_online = False
        self.installs: list[str] = []  # digests of bundles that were in force, in their order
        self.settings_in_force: list[Settings] = [Settings(content=AS_INSTALLED)]
        self._trust = trust
        self._sources = sources
        self._clock = clock or ManualClock(synced=True)
        self._boot = new_uuid7(self._clock)
        self._sequence = 0
        self._first_report = b""
        self.bundle = bundle  # committed
        self._trial: Ware | None = None
        self._previous: Ware | None = None
        self._record = Record()
        self._doc: tuple[DesiredBundle, str] | None = None
        self._answer: tuple[AttemptState, int, str] | None = None
        self._duties: deque[Action] = deque()
        self._waited = 0
        self._bytes = b""
        self._seen: dict[str, Version] = {}
        self._attempt: SettingsAttempt | None = None
        self._candidate: tuple[DesiredSettings, SettingsAttempt] | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.settings_in_force[-1].content

    # What comes in

    def subscriptions(self) -> tuple[str, ...]:
        return self._subscriptions

    def start(self) -> None:
        self.is_online = True
        self._say_status("online")
        self._report()

    def leave(self) -> None:
        """The broker tells it, as the last will."""
        self.is_online = False
        self.out.clear()
        self._say_status("offline")

    def fast_forward(self, issuer: str, counter: int) -> None:
        """Somebody with a stolen key has driven its counters up."""
        self._seen[issuer] = Version(epoch=self._trust.epoch, counter=counter, sha256="")
        seen = Seen(issuer=issuer, epoch=self._trust.epoch, counter=counter, envelope_sha256="")
        self._record = replace(self._record, highest=(seen,))
        self._attempt = self._settled("rejected", 409, "of before", issuer=issuer, counter=counter)

    def receive(self, topic: str, payload: bytes) -> None:
        """A document, on a topic that it subscribes to."""
        if not payload or self.cues.lie == "silent":
            return
        if topic.endswith("/config/desired"):
            self._settings(payload)
        else:
            self._bundle(payload)
        self._report()

    def tick(self) -> bool:
        """One step of what it has to do; whether there was anything."""
        if self.cues.lie == "never_ends" or not (self._duties or self._candidate):
            return False
        self._waited += 1
        if self._waited < self.cues.ticks:
            return True
        self._waited = 0
        if self._candidate is not None:
            self._end_settings()
        else:
            self._do(self._duties.popleft())
        self._report()
        return True

    # Settings

    def _settings(self, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        try:
            payload = self._opened(data, SETTINGS_TYPE, "settings")
            doc = read_settings(payload)
        except _Refusal as refusal:
            self._attempt = self._settled("rejected", refusal.code, str(refusal), sha256=digest)
            return
        except (StrictJsonError, ValidationError) as error:
            self._attempt = self._settled("rejected", 422, str(error)[:80], sha256=digest)
            return
        if not self._is_addressed(doc.address):
            return

        def settled(state: AttemptState, code: int, words: str = "") -> SettingsAttempt:
            return self._settled(
                state, code, words, issuer=doc.issuer, counter=doc.counter, sha256=digest, epoch=doc.epoch
            )

        version = Version(epoch=doc.epoch, counter=doc.counter, sha256=digest)
        stands = standing(version, self._seen.get(doc.issuer), epoch=self._trust.epoch)
        if stands == "unchanged":
            if self._candidate is None:
                self._attempt = settled("unchanged", 200)
            return
        if stands != "newer":
            self._attempt = settled("rejected", 409, f"counter {doc.counter}: {stands}")
            return
        if self._candidate is not None:
            self._attempt = settled("rejected", 429, "another is on probation")
            return
        self._seen[doc.issuer] = version
        if expiry(doc.expires, read(self._clock, None)) == "expired":
            self._attempt = settled("rejected", 410, "it has expired")
        elif self.cues.fails.get(settings_digest(self._with(doc))) == "verify":
            self._attempt = settled("rejected", 422, "cameras.0: no such camera")
        elif self.cues.lie == "wrong_version":
            self._attempt = settled("applied", 200)
        else:
            self._attempt = settled("probation", 202)
            self._candidate = doc, self._attempt

    def _with(self, doc: DesiredSettings) -> Mapping[str, Any]:
        onto = AS_INSTALLED if doc.onto == "file" else self.settings
        made: Mapping[str, Any] = merged(onto, doc.settings)
        return made

    def _end_settings(self) -> None:
        assert self._candidate is not None
        (doc, attempt), self._candidate = self._candidate, None
        content = self._with(doc)
        if self.cues.fails.get(settings_digest(content)) == "probation":
            problems = (ProblemReport(message="frames are lost"),)
            self._attempt = attempt.model_copy(
                update={"state": "rolled_back", "code": 500, "errors": problems, "changed": True}
            )
            return
        self.settings_in_force.append(
            Settings(content=content, issuer=doc.issuer, epoch=doc.epoch, counter=doc.counter)
        )
        self._attempt = attempt.model_copy(update={"state": "applied", "code": 200, "changed": True})

    # Bundles

    def _bundle(self, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        try:
            doc = read_bundle(self._opened(data, INSTALL_TYPE, "bundle"))
        except (_Refusal, StrictJsonError, ValidationError) as error:
            code = error.code if isinstance(error, _Refusal) else 422
            self._answer = ("rejected", code, str(error)[:80])
            self._doc = None
            return
        if not self._is_addressed(doc.address):
            return
        if doc.epoch != self._trust.epoch:
            self._doc, self._answer = (doc, digest), ("rejected", 409, f"epoch {doc.epoch}")
            return
        if self.cues.lie == "wrong_version":
            self._doc, self._answer = (doc, digest), ("applied", 200, "")
            return
        instruction = Instruction(
            transaction=f"{doc.issuer}-{doc.counter}",
            issuer=doc.issuer,
            epoch=doc.epoch,
            counter=doc.counter,
            envelope_sha256=digest,
            target_id=doc.target.id,
            target_sha256=doc.target.sha256,
        )
        before, under_way = self._doc, self._record.state not in ("idle",)
        self._doc, self._answer = (doc, digest), None
        self._step(
            Offered(
                instruction=instruction,
                boot_id=self._boot,
                at=rfc3339(self._clock.utc_now()),
                current=self.bundle.sha256,
                is_expired=expiry(doc.expires, read(self._clock, None)) == "expired",
            )
        )
        if self._answer is not None and self._answer[0] == "unchanged" and under_way:
            self._doc, self._answer = before, None  # the one under way again: it goes on

    def _step(self, event: Event) -> None:
        step = rollout.step(self._record, event)
        self._record = step.record
        if any(isinstance(one, TakeUp) for one in step.actions):
            self._duties.clear()  # they were of the one that has ended
        for action in step.actions:
            match action:
                case Answer(state="accepted"):
                    self._answer = None
                case Answer(state="unchanged"):
                    self._answer = ("unchanged", 200, "")
                case Answer(problem=Problem(code=code, message=message)):
                    self._answer = ("rejected", code, message)
                case TakeUp(offered=offered):
                    while self._duties:
                        self._do(self._duties.popleft())
                    self._step(offered)
                case _:
                    self._duties.append(action)

    def _do(self, action: Action) -> None:
        instruction = self._record.instruction
        assert instruction is not None
        name, target = instruction.transaction, instruction.target_sha256
        fails = self.cues.fails.get(target)
        match action:
            case Do(what="fetch"):
                self._fetch(name, target)
            case Do(what="verify"):
                if hashlib.sha256(self._bytes).hexdigest() != target or fails == "verify":
                    self._refuse(name, 422, "its digest is another")
                else:
                    self._step(Happened(what="verified", transaction=name))
            case Do(what="prove"):
                if fails == "prove":
                    self._refuse(name, 422, "golden scores differ")
                else:
                    self._step(Happened(what="proven", transaction=name))
            case Do(what="await_boundary"):
                previous = None if self._previous is None else self._previous.sha256
                self._step(Boundary(transaction=name, current=self.bundle.sha256, previous=previous))
            case Point(link="current", at=at) if at is not None:
                self.installs.append(at)
            case Do(what="observe") if self._record.state == "rolling_back":
                self._step(Happened(what="restored", transaction=name))
            case Do(what="observe"):
                if fails == "probation":
                    problem = Problem(code=500, message="more rejects than before")
                    self._step(Breached(transaction=name, problem=problem))
                else:
                    self._previous, self.bundle = self.bundle, self._sources.wares[target]
                    self._step(Happened(what="stable", transaction=name))
            case Do(what="report"):
                self._step(Happened(what="finished", transaction=name))
            case _:
                pass

    def _fetch(self, name: str, target: str) -> None:
        assert self._doc is not None
        if self._previous is not None and self._previous.sha256 == target:  # it is here already
            self._bytes = self._previous.data
            self._step(Happened(what="present", transaction=name))
            return
        size, got = self._doc[0].target.size_bytes, bytearray()
        for piece in self._sources.pieces(target):
            got += piece
            if len(got) > size:
                self._refuse(name, 413, f"more than {size} bytes came")
                return
        self._bytes = bytes(got)
        self._step(Happened(what="present", transaction=name))

    def _refuse(self, name: str, code: int, message: str) -> None:
        self._step(Refused(transaction=name, problem=Problem(code=code, message=message)))

    # Both

    def _opened(self, data: bytes, kind: str, role: Literal["settings", "bundle"]) -> bytes:
        if len(data) > MAX_DOCUMENT_BYTES:
            raise _Refusal("too large", 413)
        try:
            return opened(data, kind, *self._trust.keys_of(role), threshold=self._trust.threshold)
        except SignatureError as error:
            try:
                parse(data)
            except SignatureError:
                raise _Refusal(str(error), 400) from error
            raise _Refusal(str(error), 401) from error

    def _is_addressed(self, address: str) -> bool:
        ours = {station_address(self.topics), *map(group_address, self.groups)}
        return address in ours

    def _settled(
        self,
        state: AttemptState,
        code: int,
        words: str = "",
        *,
        issuer: str | None = None,
        counter: int | None = None,
        sha256: str | None = None,
        epoch: int | None = None,
    ) -> SettingsAttempt:
        return SettingsAttempt(
            issuer=issuer,
            epoch=(epoch or self._trust.epoch) if issuer else None,
            counter=counter,
            envelope_sha256=sha256,
            state=state,
            changed=False,
            code=code,
            errors=(ProblemReport(message=words),) if words else (),
            at=rfc3339(self._clock.utc_now()),
        )

    # What it says

    def _say_status(self, state: StatusName) -> None:
        status = Status(
            state=state,
            reason=None,
            station=self.topics.station,
            boot_id=self._boot,
            versions={"plumbline": "0"},
            bundle_sha256=self.bundle.sha256,
            settings_sha256=None,
            since=None,
        )
        self.out.append((self.topics.status(), encode(status)))

    def _report(self) -> None:
        self._sequence += 1
        now = rfc3339(self._clock.utc_now())
        reading = read(self._clock, None)
        current = self.settings_in_force[-1]
        settings = SettingsReport(
            active=ActiveSettings(
                version=0,
                sha256=current.sha256,
                source="remote" if current.issuer else "file",
                issuer=current.issuer,
                epoch=current.epoch,
                counter=current.counter,
                since=now,
            ),
            effective_sha256=current.sha256,
            attempted=self._attempt,
        )
        previous = None
        if self._previous is not None:
            previous = BundleRef(id=self._previous.id, sha256=self._previous.sha256)
        bundle = BundleReport(
            active=BundleRef(id=self.bundle.id, sha256=self.bundle.sha256),
            previous=previous,
            attempted=self._bundle_attempt(now),
        )
        said = encode(
            Reported(
                station=self.topics.station,
                boot_id=self._boot,
                reported_at=now,
                sequence=self._sequence,
                groups=self.groups,
                clock=ClockReport(synchronised=reading.doubt is None, expiry_checked=reading.doubt is None),
                settings=settings,
                bundle=bundle,
                trust=None,
            )
        )
        self._first_report = self._first_report or said
        self.out.append((self.topics.reported(), said))
        if self.cues.lie == "stale_report":
            self.out.append((self.topics.reported(), self._first_report))

    def _bundle_attempt(self, now: str) -> BundleAttempt | None:
        if self._doc is None and self._answer is None:
            return None
        state, code, words = self._answer or self._of_record()
        doc, digest = self._doc if self._doc is not None else (None, None)
        return BundleAttempt(
            issuer=None if doc is None else doc.issuer,
            epoch=None if doc is None else doc.epoch,
            counter=None if doc is None else doc.counter,
            envelope_sha256=digest,
            address=None if doc is None else doc.address,
            state=state,
            changed=False,
            code=code,
            errors=(ProblemReport(message=words),) if words else (),
            at=now,
            id=None if doc is None else doc.target.id,
            sha256=None if doc is None else doc.target.sha256,
        )

    def _of_record(self) -> tuple[AttemptState, int, str]:
        record = self._record
        error = record.errors[-1] if record.errors else Problem(code=500, message="")
        if record.state in ("downloading", "verifying", "proving", "staged", "probation"):
            return record.state, 202, ""
        if record.state == "rolling_back":
            return "probation", 202, ""
        if record.outcome == "applied":
            return "applied", 200, ""
        if record.outcome in ("rolled_back", "superseded", "cancelled"):
            return record.outcome, error.code, error.message
        return "failed", error.code, error.message


class _Refusal(Exception):
    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.code = code
