"""A message to deliver, and its place among those that wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent.contract.chain import Chained, chained
from agent.foreign import shown

RowKind: TypeAlias = Literal["verdict", "event", "crop"]
KINDS: tuple[RowKind, ...] = ("verdict", "event", "crop")  # priority; the index is the column `class`


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One message to deliver. `sequence` is for verdicts: one more than the row's before it."""

    id: str  # unique for ever; consumers de-duplicate on it
    kind: RowKind
    topic: str
    payload: bytes
    content_type: str
    properties: tuple[tuple[str, str], ...] = ()
    sequence: int | None = None
    of_pass: bool = False  # a crop of a part that passed: the first to go when room is needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A committed row and its place in the order of commits."""

    seq: int
    row: Row
    replayed: bool = False  # delivered before, and asked for again
    place: bytes = b""  # in the chain: segment and link before; empty for a row of before there was one

    @property
    def chained(self) -> Chained | None:
        return chained(self.place, self.seq) if self.place else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A committed row that is not what was committed: it is never sent as genuine."""

    seq: int
    kind: RowKind | None  # None where that cannot be read
    id: str
    sequence: int | None

    def words(self) -> str:
        number = "" if self.sequence is None else f", verdict {self.sequence}"
        return f"row {self.seq} of the outbox ({self.kind or 'of no kind'} {shown(self.id)}{number})"
