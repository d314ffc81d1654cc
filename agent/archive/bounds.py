"""What may be kept, and what is: pure."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from agent.clock import rfc3339
from agent.contract.verdict import Verdict
from agent.settings.archive import Archive


def wanted(verdict: Verdict, bounds: Archive) -> bool:
    """Whether a record's frame is kept: all but passes are, of which their id decides."""
    if verdict.verdict != "pass":
        return verdict.verdict != "skipped"
    return by_chance(verdict.result_id, bounds.pass_share)


def by_chance(result_id: str, share: float) -> bool:
    """Whether a record is of the share that is kept of passes; the same for one id each time."""
    return int.from_bytes(hashlib.sha256(result_id.encode()).digest()[:8], "big") < share * 2**64


def over(bounds: Archive, used: int, coming: int) -> int:
    """How many bytes have to go so that `coming` more are within `max_bytes`."""
    return max(0, used + coming - bounds.max_bytes)


def short(bounds: Archive, free: int, coming: int) -> int:
    """How many bytes have to go so that `min_free_bytes` stay free after `coming` more."""
    return max(0, bounds.min_free_bytes + coming - free)


def oldest(bounds: Archive, now: datetime) -> str:
    """What was recorded before this is kept no longer."""
    return rfc3339(now - timedelta(days=bounds.days))
