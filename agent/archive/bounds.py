"""What may be kept, and what is: pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.archive.index import Order
from agent.clock import rfc3339
from agent.messages import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Of the whole archive."""

    max_bytes: int
    min_free_bytes: int  # that stay free on its disk
    days: float  # that an entry without a mark is kept
    pass_share: float
    keep_longest: Order

    def over(self, used: int, coming: int) -> int:
        """How many bytes have to go so that `coming` more are within `max_bytes`."""
        return max(0, used + coming - self.max_bytes)

    def short(self, free: int, coming: int) -> int:
        """How many bytes have to go so that `min_free_bytes` stay free after `coming` more."""
        return max(0, self.min_free_bytes + coming - free)

    def oldest(self, now: datetime) -> str:
        """What was recorded before this is kept no longer."""
        return rfc3339(now - timedelta(days=self.days))


def wanted(verdict: Verdict, pass_share: float) -> bool:
    """Whether a record of a frame is kept: everything but passes, of which its id decides."""
    if verdict.verdict != "pass":
        return verdict.verdict != "skipped"
    number = int.from_bytes(hashlib.sha256(verdict.result_id.encode()).digest()[:8], "big")
    return number < pass_share * 2**64
