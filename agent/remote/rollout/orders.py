"""What a running station's updater is asked, and what it says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from agent.contract.reported import AttemptState, BundleReport

SaidState: TypeAlias = Literal["accepted", "unchanged", "rejected", "pending"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The answer to whoever wanted something; 202 is the beginning of a transaction, and not its end."""

    state: SaidState
    code: int
    message: str
    transaction: str | None = None


Reply: TypeAlias = Callable[[Said], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a transaction stands."""

    state: AttemptState
    code: int
    message: str
    share: float | None  # of the state that is over, 0 to 1
    is_over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    content: bytes
    base: Path | None  # the folder that it was read from
    may_wait: bool  # for its turn; else it is refused while another cannot be ended
    reply: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBack:
    who: str
    reason: str
    reply: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    transaction: str | None  # None: whichever goes on
    reply: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    source: Path  # of a bundle that was made at this station
    sha256: str
    reply: Reply


Asked: TypeAlias = Document | RollBack | Cancel | Adopt


def nobody(said: Said) -> None:
    """A reply for whoever reads the reported document instead."""


class Rollouts(Protocol):
    """Installs bundles on a running station; what may be called from any thread."""

    @property
    def expiry_checked(self) -> bool:
        """Whether the clock could be believed when the last document came."""

    @property
    def why_closed(self) -> str | None:
        """Why no bundle can be installed here at all; None where one can."""

    def take(self, document: bytes, reply: Reply = nobody, base: Path | None = None) -> None:
        """A document of a topic, or of the folder `base`; the answer comes later, in another thread.

        One that comes while another cannot be ended waits for its turn, the newest alone.
        """

    def install(self, document: bytes, base: Path | None = None) -> Said:
        """The same, for somebody who waits for the answer."""

    def roll_back(self, who: str, reason: str) -> Said:
        """End a probation at once, or begin to go back to the bundle before, proven and on probation."""

    def adopt(self, source: Path, sha256: str) -> Said:
        """Begin to install the bundle that was made here: trusted, proven and on probation as any other."""

    def cancel(self, transaction: str | None = None) -> Said:
        """End the transaction that goes on, if it is this one and has not come to the line yet."""

    def standing(self, transaction: str) -> Standing | None:
        """None for a transaction that is not known any more."""

    def report(self) -> BundleReport:
        """The `bundle` half of the reported document."""

    def words(self) -> tuple[str, ...]:
        """What people should know, one sentence each."""

    def ended(self) -> Mapping[str, int]:
        """How transactions came to their end since the start, by outcome; documents that began none."""

    def is_on_probation(self) -> bool:
        """Whether a bundle serves that can still be taken back."""

    def run(self, stop: threading.Event) -> None:
        """As a member of the crew."""

    def end(self, *, in_order: bool) -> None:
        """After `run`; a process that ends in order has not died of its bundle."""
