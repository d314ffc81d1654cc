"""What is known of a fleet now: who is there, what each says of itself, what stands on its topics."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.contract.desired import Desired
from models.fleet.documents import DocumentError, head_of
from models.fleet.inventory import TOPIC_OF, Inventory, Station, Target
from models.fleet.plan import Attempt, Heard, Kind, Member, Record, Standing
from models.fleet.reports import Attempted, Report, Status, read
from models.fleet.waves import standing

ONLINE = ("online", "degraded")
FILTERS = (
    "plumbline/v1/+/+/+/+/status",
    "plumbline/v1/+/+/+/+/config/reported",
    "plumbline/v1/+/+/+/+/config/desired",
    "plumbline/v1/+/+/+/+/bundle/desired",
    "plumbline/v1/groups/+/config/desired",
    "plumbline/v1/groups/+/bundle/desired",
)
_WORST_FIRST: tuple[Standing, ...] = (
    "conflict",
    "failed",
    "rejected",
    "rolled_back",
    "busy",
    "under_way",
    "none",
    "overtaken",
    "applied",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What stands retained on a topic; `head` is None where it is no document."""

    sha256: str
    head: Desired | None


@dataclass(slots=True, kw_only=True)
class Seen:
    """One station."""

    status: Status | None = None
    online_since: float = 0.0
    report: Report | None = None

    @property
    def is_online(self) -> bool:
        return self.status is not None and self.status.state in ONLINE


@dataclass(slots=True, kw_only=True)
class Hall:
    """For one thread; `note` takes each message as it comes."""

    inventory: Inventory
    stations: dict[str, Seen] = field(default_factory=dict)  # by SITE/AREA/LINE/STATION
    posted: dict[str, Posted] = field(default_factory=dict)  # by topic
    _topics: dict[str, Station] = field(default_factory=dict)
    _desired: dict[str, Kind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.inventory.stations:
            self.stations[one.address] = Seen()
            self._topics[one.topics.status()] = self._topics[one.topics.reported()] = one
        for kind, name in TOPIC_OF.items():
            for one in self.inventory.stations:
                self._desired[one.topics.desired(name)] = kind
            for group in self.inventory.groups:
                self._desired[f"plumbline/v1/groups/{group}/{name}/desired"] = kind

    def note(self, topic: str, payload: bytes, now: float) -> bool:
        """Whether it says anything of this fleet; `now` is in seconds since 1970."""
        if (kind := self._desired.get(topic)) is not None:
            self._post(topic, payload, kind)
            return True
        station = self._topics.get(topic)
        if station is None:
            return False
        seen = self.stations[station.address]
        if topic == station.topics.status():
            was_online = seen.is_online
            seen.status = read(Status, payload)
            if seen.is_online and not was_online:
                seen.online_since = now
            return True
        report = read(Report, payload)
        if report is not None and report.station == station.topics.station and _is_news(report, seen.report):
            seen.report = report
        return True

    def heard(self, targets: Mapping[str, Target], record: Record) -> dict[str, Heard]:
        """By address; of a group, the station of it that stands worst."""
        return {
            one.address: self._of(targets[one.address], record, one)
            for one in record.members
            if one.address in targets
        }

    def of_station(self, station: Station, kind: Kind) -> Heard:
        seen = self.stations[station.address]
        return Heard(
            is_online=seen.is_online,
            online_since=seen.online_since,
            attempt=None if seen.report is None else _attempt(seen.report, kind),
            runs=None if seen.report is None else _runs(seen.report, kind),
        )

    def is_foreign(
        self, target: Target, kind: Kind, issuer: str, epoch: int, ours: Sequence[str], below: int
    ) -> bool:
        """Whether the topic holds a document that is none of `ours` (digests), and of another issuer, or
        counted above `below`.
        """
        posted = self.posted.get(target.topic(kind))
        if posted is None or posted.head is None or posted.sha256 in ours:
            return False
        head = posted.head
        return head.issuer != issuer or (head.epoch, head.counter) > (epoch, below)

    def _of(self, target: Target, record: Record, member: Member) -> Heard:
        ours = [word.sha256 for word in member.words if word.sha256 is not None]
        below = max((word.counter for word in member.words), default=record.counter)
        is_foreign = self.is_foreign(target, record.kind, record.issuer, record.epoch, ours, below)
        every = [self.of_station(one, record.kind) for one in target.stations]
        there = [one for one in every if one.is_online]
        if not there:
            return Heard(is_foreign=is_foreign)
        worst = min(there, key=lambda one: _WORST_FIRST.index(standing(record, member, one)))
        return Heard(
            is_online=True,
            online_since=worst.online_since,
            attempt=worst.attempt,
            runs=worst.runs,
            is_foreign=is_foreign,
        )

    def _post(self, topic: str, payload: bytes, kind: Kind) -> None:
        if not payload:
            self.posted.pop(topic, None)
            return
        try:
            head = head_of(payload, kind)
        except DocumentError:
            head = None
        self.posted[topic] = Posted(sha256=hashlib.sha256(payload).hexdigest(), head=head)


def highest_reported(hall: Hall, stations: Sequence[Station], issuer: str, epoch: int) -> dict[str, int]:
    """The highest counter of this issuer that each station tells of, where it tells of any."""
    found: dict[str, int] = {}
    for station in stations:
        report = hall.stations[station.address].report
        if report is None:
            continue
        told = [report.settings.active, report.settings.attempted, report.bundle.attempted]
        counters = [
            one.counter
            for one in told
            if one is not None and one.counter is not None and (one.issuer, one.epoch) == (issuer, epoch)
        ]
        if counters:
            found[station.address] = max(counters)
    return found


def _is_news(report: Report, before: Report | None) -> bool:
    """A message that was kept somewhere and comes late is none."""
    return before is None or report.boot_id != before.boot_id or report.sequence > before.sequence


def _attempt(report: Report, kind: Kind) -> Attempt | None:
    said: Attempted | None = getattr(report, kind).attempted
    if said is None:
        return None
    return Attempt(
        issuer=said.issuer,
        epoch=said.epoch,
        counter=said.counter,
        envelope_sha256=said.envelope_sha256,
        state=said.state,
        code=said.code,
        message=said.words,
    )


def _runs(report: Report, kind: Kind) -> str | None:
    if kind == "bundle":
        return None if report.bundle.active is None else report.bundle.active.sha256
    active = report.settings.active
    if active.issuer is None or active.counter is None:
        return None
    return f"{active.issuer}/{active.epoch}/{active.counter}"
