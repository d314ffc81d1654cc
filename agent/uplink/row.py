"""A message to deliver, and its place among those that wait."""

from __future__ import annotations

from dataclasses import dataclass

from agent.uplink.outbox_file import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One message to deliver. `sequence` is for verdicts: one more than the row's before it."""

    id: str  # unique for ever; consumers de-duplicate on it
    kind: Kind
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
