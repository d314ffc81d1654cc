"""Whether a signed document is newer than all before it, and whether it has expired. Decides, stores nothing.

An issuer's documents count up within an epoch of the trust file; a new epoch starts from 0. The clock is read
once for a transaction, and only a clock that can be believed makes a document expired.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from agent.clock import Clock, rfc3339

Standing: TypeAlias = Literal["newer", "unchanged", "conflict", "rollback", "ahead"]
Expiry: TypeAlias = Literal["valid", "expired", "unchecked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Of one document of one issuer."""

    epoch: int
    counter: int
    sha256: str  # of the payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The clock, once; `doubt` says why it is not believed, and None that it is."""

    now: datetime
    doubt: str | None
    latest: datetime | None  # trustworthy time ever seen, this one included: to be kept


def standing(offered: Version, seen: Version | None, *, epoch: int) -> Standing:
    """How `offered` stands to the highest that was seen of its issuer, accepted or rejected.

    `epoch` is the trust file's. `ahead`: of an epoch that this trust file does not know yet. `conflict`: the
    same counter with another content.
    """
    if offered.epoch > epoch:
        return "ahead"
    if offered.epoch < epoch or (seen is not None and seen.epoch > epoch):
        return "rollback"
    if seen is None or seen.epoch < epoch:
        return "newer" if offered.counter > 0 else "rollback"
    if offered.counter == seen.counter:
        return "unchanged" if offered.sha256 == seen.sha256 else "conflict"
    return "newer" if offered.counter > seen.counter else "rollback"


def read(clock: Clock, latest: datetime | None) -> Reading:
    """`latest` is the latest trustworthy time that was ever seen."""
    now = clock.utc_now()
    doubt = None
    if not clock.synced():
        doubt = "the clock is not synchronised"
    elif latest is not None and now < latest:
        doubt = f"the clock says {rfc3339(now)}, which is before {rfc3339(latest)}, when it was right last"
    if doubt is None:
        latest = now
    return Reading(now=now, doubt=doubt, latest=latest)


def expiry(expires: datetime, reading: Reading) -> Expiry:
    """Unchecked where the clock is in doubt."""
    if reading.doubt is not None:
        return "unchecked"
    return "expired" if reading.now >= expires else "valid"
