"""The notary signs the end of the chain: every minute with a record, at a shift's end, at a stop.

The head is a record like others, committed in the same transaction in which the chain's end is read. A
station whose key cannot be read or made works on, and says so; its records are chained all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, time
from functools import partial
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from agent import shift
from agent.clock import Clock, rfc3339
from agent.contract.head import HEAD_TYPE, ChainEnd, HeadStatement, Reason, head_of, head_row
from agent.contract.payloads import encode
from agent.contract.row import Row
from agent.contract.topics import Topics
from agent.durable import replace_file
from agent.outbox.chain import Tip
from agent.outbox.salvage import Salvage
from agent.trust.envelope import encoding
from agent.trust.keys import key_id

EVERY_NS = 60_000_000_000


class Keeper(Protocol):
    """Of an outbox. Raises OutboxError."""

    def note_end(self, row_of: Callable[[Tip], Row | None]) -> None: ...

    def begin_segment(self, is_wanted: Callable[[Tip], bool]) -> bool: ...


class Notary:
    """`look` is to be called once a second."""

    def __init__(
        self,
        keeper: Keeper,
        key: Ed25519PrivateKey,
        *,
        path: Path,
        topics: Topics,
        boot_id: str,
        clock: Clock,
        new_id: Callable[[], str],
        shift_starts: Sequence[time] = (),
        salvaged: Salvage | None = None,
    ) -> None:
        """`path` is the outbox's; `salvaged`, what was saved of a damaged one that nobody has told of yet."""
        self._keeper = keeper
        self._key = key
        self._beside = last_head(path)
        self._topics = topics
        self._boot_id = boot_id
        self._clock = clock
        self._new_id = new_id
        self._shift_starts = shift_starts
        self._salvaged = salvaged
        self._signed: int | None = None  # number of the last head's own record
        self._looked_ns = clock.monotonic_ns()
        self._shift = self._shift_began()

    def begin(self) -> ChainEnd | None:
        """Sign that a segment begins, where one does, before anything is delivered. Raises OutboxError.

        An outbox that ends before what was signed is an older copy put in its place: its numbers were given
        already, so it begins a segment, too, and the end that was signed is returned.
        """
        known = self._known()
        if known is not None and not self._keeper.begin_segment(partial(_is_before, known)):
            known = None
        self._sign("begun", always=False)
        return known

    def look(self) -> None:
        """Sign where it is time to. Raises OutboxError."""
        began, now_ns = self._shift_began(), self._clock.monotonic_ns()
        if began != self._shift:
            self._sign("shift")
            self._shift, self._looked_ns = began, now_ns
        elif now_ns - self._looked_ns >= EVERY_NS:
            self._sign("minute")
            self._looked_ns = now_ns

    def stop(self) -> None:
        """Sign what was recorded last. Raises OutboxError."""
        self._sign("stop")

    def _shift_began(self) -> datetime | None:
        now = self._clock.utc_now().astimezone()
        return shift.began(now, self._shift_starts) if self._shift_starts else None

    def _sign(self, reason: Reason, *, always: bool = True) -> None:
        signed: HeadStatement | None = None

        def row_of(tip: Tip) -> Row | None:
            nonlocal signed
            if tip.number == self._signed or not (always or tip.is_new):
                return None
            signed = self._statement(tip, reason)
            signature = self._key.sign(encoding(encode(signed), HEAD_TYPE))
            keyid = key_id(self._key.public_key())
            return head_row(self._topics, head_of(signed, keyid=keyid, signature=signature))

        self._keeper.note_end(row_of)
        if signed is not None:
            self._signed = signed.number + 1
            end = {"segment": signed.segment, "number": signed.number, "link": signed.link}
            with suppress(OSError):  # a later one stands there in a minute; only a lost outbox needs it
                replace_file(self._beside, [json.dumps(end).encode()])

    def _statement(self, tip: Tip, reason: Reason) -> HeadStatement:
        follows = self._known() if tip.is_new else None
        lost = self._salvaged.lost_rows if tip.is_new and self._salvaged is not None else ()
        if tip.is_new:
            reason = "begun" if follows is None and self._salvaged is None else "mended"
        return HeadStatement(
            head_id=self._new_id(),
            station=self._topics.station,
            boot_id=self._boot_id,
            created=rfc3339(self._clock.utc_now()),
            clock_synced=self._clock.synced(),
            reason=reason,
            segment=tip.segment.hex(),
            number=tip.number,
            link=tip.link.hex(),
            first=tip.first,
            follows=follows,
            lost=lost,
            key=self._key.public_key().public_bytes_raw().hex(),
        )

    def _known(self) -> ChainEnd | None:
        """The last head that was signed over an outbox at this place."""
        try:
            return ChainEnd.model_validate_json(self._beside.read_bytes())
        except (OSError, ValidationError):
            return None


def _is_before(end: ChainEnd, tip: Tip) -> bool:
    """Whether a chain ends in front of a record that it had."""
    return tip.segment.hex() == end.segment and tip.number < end.number


def key_file(path: Path) -> Path:
    """Where the station's key lies: beside the outbox at `path`."""
    return path.with_name(path.name + ".key")


def last_head(path: Path) -> Path:
    """Where the end of the chain stands that was signed last."""
    return path.with_name(path.name + ".head")
