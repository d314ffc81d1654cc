"""What a running station's updater is asked, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from agent.contract.reported import AttemptState

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


Asked: TypeAlias = Document | RollBack | Cancel
