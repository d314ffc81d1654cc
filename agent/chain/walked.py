"""What a walk along a chain finds, and what it is told besides the records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.chain.segments import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """The first link that does not hold."""

    where: str  # file and line, or row; of what is missing: of the record beside it
    segment: str
    number: int
    sequence: int | None  # of a verdict
    what: str
    expected: str
    stands: str

    def words(self) -> str:
        verdict = "" if self.sequence is None else f", verdict {self.sequence}"
        return (
            f"{self.where}: broken at record {self.number}{verdict} of segment {self.segment}: {self.what}; "
            f"expected: {self.expected}; there stands: {self.stands}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What is known of one segment."""

    segment: str
    station: str | None  # its topic, where that is kept beside records
    first: int
    last: int
    records: int  # that are there, with their content
    pictures: int  # that are not, and whose verdict names them
    gone: int  # that left, with their digest kept
    lost: tuple[Span, ...]  # with a damaged file, as a signed head or that file says
    heads: int
    proven_to: int  # by the last head; 0 without one
    keys: tuple[str, ...]  # that signed, in hexadecimal
    goes_on: bool  # its outbox adds to it, and keeps no more of it than it needs
    lost_end: bool  # a damaged file had its last records, heads among them, as the segment behind it says
    broken: Break | None

    @property
    def unproven(self) -> int:
        """Numbers behind the last head; its own record is the first of them."""
        return max(0, self.last - max(self.proven_to, self.first - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What an outbox says besides its records, by segment."""

    tips: Mapping[bytes, tuple[int, bytes]] = field(default_factory=dict)  # the last number, the link behind
    firsts: Mapping[bytes, int] = field(default_factory=dict)  # from this number on every one is there
    lost: Mapping[bytes, tuple[Span, ...]] = field(default_factory=dict)


NOTHING = Known()
