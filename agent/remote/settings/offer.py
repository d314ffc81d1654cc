"""From bytes that came to an offer of settings, or to why they are none. Decides, stores nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.clock import Clock, rfc3339
from agent.contract.desired import DesiredSettings, read_settings
from agent.remote.rollout.transaction import Instruction, Offered, Record
from agent.remote.settings.desired import Flaw, Genuine, Station, Unfit, opened, stale
from agent.remote.settings.proposal import Proposal, forbidden, foreign_issuer, proposed
from agent.remote.settings.store import Snapshot
from agent.settings.problems import dotted
from agent.settings.settings import Settings, SettingsError
from agent.trust.freshness import Version, read
from agent.trust.trust_set import TrustSet

HAND = "hand"  # the issuer of what is edited on the station


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A genuine document. `late` says why, where it expired: its counter counts all the same."""

    found: Genuine[DesiredSettings]
    offered: Offered
    late: Unfit | None
    expiry_checked: bool


def weigh(
    envelope: bytes,
    settings: Settings,
    trust: TrustSet | str,
    *,
    record: Record,
    active: Snapshot,
    current: str | None,
    clock: Clock,
    transaction: str,
) -> Offer | Unfit:
    """`settings` run now; the clock is read once."""
    latest = record.latest_trusted_time
    reading = read(clock, None if latest is None else datetime.fromisoformat(latest.replace("Z", "+00:00")))
    found = opened(envelope, "settings", read_settings, station_of(settings, trust))
    if isinstance(found, Unfit):
        return found
    assert isinstance(trust, TrustSet)
    head = found.document
    unfit = stale(found, seen(record, head.issuer), trust.epoch, reading)
    late = unfit if unfit is not None and unfit.code == 410 else None
    if unfit is not None and late is None:
        return unfit
    if (flaw := foreign_issuer(found, active)) is not None:
        return Unfit(code=403, flaws=(flaw,), envelope_sha256=found.envelope_sha256, head=head)
    offered = Offered(
        instruction=Instruction(
            transaction=transaction,
            issuer=head.issuer,
            epoch=head.epoch,
            counter=head.counter,
            envelope_sha256=found.sha256,
            target_id=str(head.counter),
            target_sha256=found.sha256,
            address=head.address,
        ),
        boot_id=clock.boot(),
        at=rfc3339(clock.utc_now()),
        current=current,
        is_expired=late is not None,
        trusted_time=None if reading.doubt is not None else rfc3339(reading.now),
    )
    return Offer(found=found, offered=offered, late=late, expiry_checked=reading.doubt is None)


def verified(
    envelope: bytes,
    instruction: Instruction,
    settings: Settings,
    trust: TrustSet | str,
    *,
    active: Snapshot,
    made: Callable[[Mapping[str, Any]], Settings],
    now: str,
) -> Proposal | Unfit:
    """What a document that was taken up makes of the active settings, from its bytes once more: what was read
    of them before may have died with its process. `made` raises SettingsError.
    """
    found = opened(envelope, "settings", read_settings, station_of(settings, trust))
    if isinstance(found, Unfit):
        return found

    def unfit(code: int, flaws: Sequence[Flaw]) -> Unfit:
        sha256, head = found.envelope_sha256, found.document
        return Unfit(code=code, flaws=tuple(flaws), envelope_sha256=sha256, head=head)

    if found.sha256 != instruction.target_sha256:
        return unfit(500, [Flaw(message="another document lies here by now; send it again")])
    if flaws := forbidden(found.document.settings, active):
        return unfit(422, flaws)
    proposal = proposed(found, active, now=now)
    try:
        made(proposal.snapshot.data)
    except SettingsError as error:
        told = [Flaw(path=dotted(keys), message=words) for keys, words in error.found]
        return unfit(422, told or [Flaw(message=str(error))])
    return proposal


def edit(sha256: str, record: Record, *, current: str | None, clock: Clock, transaction: str) -> Offered:
    """What somebody on the station wants counts up by itself."""
    known = [one.counter for one in record.highest] + [one.counter for one in record.failed]
    return Offered(
        instruction=Instruction(
            transaction=transaction,
            issuer=HAND,
            epoch=0,
            counter=max(known, default=0) + 1,
            envelope_sha256=sha256,
            target_id=HAND,
            target_sha256=sha256,
        ),
        boot_id=clock.boot(),
        at=rfc3339(clock.utc_now()),
        current=current,
    )


def station_of(settings: Settings, trust: TrustSet | str) -> Station:
    identity = settings.identity
    return Station(
        address=f"station:{identity.site}/{identity.area}/{identity.line}/{identity.station}",
        groups=settings.remote.groups,
        trust=trust,
    )


def seen(record: Record, issuer: str) -> Version | None:
    """The highest of this issuer, in its newest epoch."""
    found = [one for one in record.highest if one.issuer == issuer]
    if not found:
        return None
    highest = max(found, key=lambda one: (one.epoch, one.counter))
    return Version(epoch=highest.epoch, counter=highest.counter, sha256=highest.envelope_sha256)
