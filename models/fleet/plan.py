"""The nouns of a rollout over many stations: what is durable, and what is heard of a station."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["settings", "bundle"]
Result: TypeAlias = Literal["applied", "rejected", "failed", "rolled_back", "overtaken"]
Standing: TypeAlias = Literal[Result, "none", "under_way", "busy", "conflict"]
RolloutState: TypeAlias = Literal["running", "stopped", "finished", "taken_back"]
What: TypeAlias = Literal["new", "before", "nothing"]

FAILURES: frozenset[Result] = frozenset({"rejected", "failed", "rolled_back"})
FINISHED: frozenset[Result] = FAILURES | {"applied"}
BUSY = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRule:
    """When no more is published: failures in the first wave, or too large a share of all that ended."""

    first_wave_failures: int = 0  # that are borne
    share: float = 0.05  # of those that ended, above which it stops
    finished: int = 5  # that have to have ended before a share says anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a connected station holds its wave up."""

    answer_s: float = 300.0  # without a word about the document
    end_s: float = 86_400.0  # with one, and without an end
    busy_s: float = 30.0  # until a station that was busy is told again


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What the retained topic of an address is to hold; `nothing` empties it.

    `sha256` is the envelope's, as soon as it is signed; `times` counts how often it is said.
    """

    what: What
    counter: int
    sha256: str | None = None
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One address of a rollout. `word` is the last of `words`; `result` is of what is new, `returned` of the
    content before.
    """

    address: str
    before: str | None = None  # digest of the content that it ran before, where we know it
    before_identity: str | None = None  # what it says that it runs then; None where the counter is that
    words: tuple[Word, ...] = ()
    told_at: float = 0.0  # of the last word: seconds since 1970
    result: Result | None = None
    returned: Result | None = None
    code: int = 0
    message: str = ""
    is_excused: bool = False  # it failed, and somebody went on all the same: no rule counts it

    @property
    def word(self) -> Word | None:
        return self.words[-1] if self.words else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is durable. `quotas` says how many have to have ended when each wave is complete."""

    id: str
    kind: Kind
    issuer: str
    epoch: int
    counter: int  # of the documents that are new
    began_at: str
    expires: str
    content: str  # digest of what is new
    identity: str | None  # what a station says that it runs then; None where the counter is that
    quotas: tuple[int, ...]
    rule: StopRule
    patience: Patience
    state: RolloutState = "running"
    why: str = ""
    wave: int = 0
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a station says of the last document of a kind."""

    issuer: str | None
    epoch: int | None
    counter: int | None
    envelope_sha256: str | None
    state: str
    code: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One address, as far as it is known: one kind of document."""

    is_online: bool = False
    online_since: float = 0.0  # as far as this process saw it
    attempt: Attempt | None = None
    runs: str | None = None  # a bundle's digest, or settings' `ISSUER/EPOCH/COUNTER`
    is_foreign: bool = False  # the topic holds somebody else's document, or one that we do not know


def quotas(waves: tuple[str, ...], total: int) -> tuple[int, ...]:
    """How many of `total` each wave ends with: `3` stations, `5%` of all, or `rest`.

    Raises ValueError with the wave that means nothing.
    """
    sums: list[int] = []
    for wave in waves:
        so_far = sums[-1] if sums else 0
        sums.append(min(total, so_far + _size(wave, total)))
    if not sums or sums[-1] < total:
        sums.append(total)
    return tuple(dict.fromkeys(sums))


def _size(wave: str, total: int) -> int:
    if wave == "rest":
        return total
    digits = wave.removesuffix("%")
    number = int(digits) if digits.isascii() and digits.isdigit() else 0
    if number < 1 or (wave.endswith("%") and number > 100):
        raise ValueError(f"{wave!r} is no wave; write a number of stations, a share such as 5%, or rest")
    return ceil(total * number / 100) if wave.endswith("%") else number
