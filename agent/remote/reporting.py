"""`plumbline.reported/1` composed: what a station is, and what became of what it was told last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from agent.address import masked_values
from agent.clock import Clock, rfc3339
from agent.contract.payloads import encode
from agent.contract.reported import (
    ActiveSettings,
    BundleReport,
    ClockReport,
    Reported,
    SettingsAttempt,
    SettingsReport,
    TrustReport,
)
from agent.remote.settings.store import Snapshot
from agent.settings.settings import Settings
from agent.trust.keys import short
from agent.trust.trust_set import TrustSet

OWN = ("identity",)  # what only one station has


@dataclass(slots=True, kw_only=True)
class Reporter:
    """Of one run of the agent; the bundle's half comes from elsewhere."""

    station: str
    boot_id: str
    clock: Clock
    bundle: Callable[[], BundleReport]
    sequence: int = 0

    def composed(
        self,
        settings: Settings,
        snapshot: Snapshot | None,
        attempted: SettingsAttempt | None,
        *,
        waiting: SettingsAttempt | None,
        last_failed: SettingsAttempt | None,
        trust: TrustSet | None,
        expiry_checked: bool,
    ) -> bytes:
        """The next report."""
        self.sequence += 1
        return encode(
            Reported(
                station=self.station,
                boot_id=self.boot_id,
                reported_at=rfc3339(self.clock.utc_now()),
                sequence=self.sequence,
                groups=settings.remote.groups,
                clock=ClockReport(synchronised=self.clock.synced(), expiry_checked=expiry_checked),
                settings=SettingsReport(
                    active=_active(settings, snapshot, rfc3339(self.clock.utc_now())),
                    effective_sha256=effective_sha256(settings),
                    attempted=attempted,
                    waiting=waiting,
                    last_failed=last_failed,
                ),
                bundle=self.bundle(),
                trust=None if trust is None else _trust(trust),
            )
        )


def effective_sha256(settings: Settings) -> str:
    """Of what a station does, whoever it is: stations that are to be alike have it in common."""
    content = settings.model_dump(mode="json", exclude=set(OWN))
    canonical = json.dumps(masked_values(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _active(settings: Settings, snapshot: Snapshot | None, now: str) -> ActiveSettings:
    origin = None if snapshot is None else snapshot.origin
    return ActiveSettings(
        version=settings.revision,
        sha256=settings.digest(),
        source="file" if snapshot is None else snapshot.source,
        issuer=None if origin is None else origin.issuer,
        epoch=None if origin is None else origin.epoch,
        counter=None if origin is None else origin.counter,
        since=now if snapshot is None else snapshot.since,
    )


def _trust(trust: TrustSet) -> TrustReport:
    return TrustReport(
        number=trust.number,
        epoch=trust.epoch,
        threshold=trust.threshold,
        keys=tuple(short(key.id) for key in trust.keys),
    )
