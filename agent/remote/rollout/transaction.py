"""The nouns of a rollout: what is durable, what may happen, and what has to be done then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from agent.contract.desired import Source, Window
from agent.remote.rollout.baseline import Baseline

State: TypeAlias = Literal[
    "idle",
    "downloading",
    "verifying",
    "proving",
    "staged",
    "probation",
    "rolling_back",
    "committed",
    "failed",
]
Outcome: TypeAlias = Literal[
    "applied", "failed", "superseded", "cancelled", "rolled_back", "unable_to_roll_back"
]
Link: TypeAlias = Literal["current", "previous"]
Duty: TypeAlias = Literal[
    "fetch",
    "verify",
    "place",
    "prove",
    "await_boundary",
    "observe",
    "discard",
    "clean_up",
    "fail_safe",
    "report",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How often a transaction is tried, and how many failures are remembered."""

    attempts: int = 3
    power_cuts: int = 10
    failures: int = 32


LIMITS = Limits()


HERE = 0  # the epoch of what is wanted at the station itself; that of documents begins at 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """Who wants which bundle to serve here; its envelope was genuine."""

    transaction: str
    issuer: str
    epoch: int
    counter: int
    envelope_sha256: str
    target_id: str
    target_sha256: str
    address: str = ""
    size_bytes: int = 0
    sources: tuple[Source, ...] = ()
    base: str | None = None  # the folder that the document was read from
    boundary: Literal["frame", "part"] = "frame"
    window: Window | None = None  # when the line may change its bundle

    def is_by(self, local: str) -> bool:
        """Whether it is of this issuer at the station itself; a document may call its own one the same."""
        return self.epoch == HERE and self.issuer == local


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why something was refused or given up; the code is of HTTP's numbers."""

    code: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A bundle that failed here, and is taken again by a higher counter only."""

    target_id: str
    target_sha256: str
    counter: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The highest counter of an issuer in an epoch of keys, and what it belonged to."""

    issuer: str
    epoch: int
    counter: int
    envelope_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What the proof of a bundle on this machine found."""

    worst_tile_delta: float | None = None  # of a golden score, as a share of the threshold
    flips: int | None = None  # verdicts that are others than the serving bundle's
    frames: int | None = None  # of the archive that were judged


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBytes:
    """How much of a file of the candidate is there."""

    name: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is durable. In `idle`, instruction, outcome and errors are those of the last transaction."""

    state: State = "idle"
    instruction: Instruction | None = None
    attempts: int = 0
    power_cuts: int = 0
    boot_id: str = ""  # of the last write that began or took up a transaction
    is_stopped: bool = False  # the process that wrote it last has ended in order: no death to count
    started_at: str = ""
    deadline_s: float | None = None  # what is left for the bytes to come; it runs only while there is a link
    bytes_done: tuple[FileBytes, ...] = ()
    proof: Proven | None = None
    baseline: Baseline | None = None  # health before the switch
    previous: str | None = None  # digest of the bundle that served before the switch
    former: str | None = None  # digest of the one before that, which a way back restores
    outcome: Outcome | None = None
    errors: tuple[Problem, ...] = ()
    failed: tuple[Failure, ...] = ()
    highest: tuple[Seen, ...] = ()
    latest_trusted_time: str | None = None  # UTC; a clock that says less is not believed


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What `current` and `previous` name, and which bundles are whole and trusted."""

    current: str | None
    previous: str | None
    verified: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """An instruction. `current` is the bundle that serves, where there is one that is verified."""

    instruction: Instruction
    boot_id: str
    at: str
    current: str | None
    is_addressed: bool = True
    is_expired: bool = False
    has_room: bool = True
    trusted_time: str | None = None  # of the one reading of the clock, where it can be believed
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """What was to be done is done: all bytes are there; digests, manifest and trust are good; golden tiles
    are within tolerance; probation was stable for long enough; the bundle before judges again; the bundle
    before is unusable; report and cleaning are done.
    """

    what: Literal["present", "verified", "proven", "stable", "restored", "lost", "finished"]
    transaction: str
    proof: Proven | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """The line may change its bundle now; what the links name."""

    transaction: str
    current: str | None
    previous: str | None
    baseline: Baseline | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Downloading, verifying, proving or waiting for the boundary has come to a bad end."""

    transaction: str
    problem: Problem
    proof: Proven | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breached:
    """In probation: health is worse than before beyond the limits, or somebody wants to go back."""

    transaction: str
    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """Somebody wants this transaction to end."""

    transaction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """More bytes are there, or time with a link has gone by."""

    transaction: str
    bytes_done: tuple[FileBytes, ...]
    deadline_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSeen:
    """A clock that can be believed said this."""

    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The process ends in order; nothing comes after this."""


Event: TypeAlias = (
    Offered | Happened | Boundary | Refused | Breached | Cancelled | Progressed | TimeSeen | Stopped
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Do:
    """A duty. `fetch` goes on where it was; `place` gives the candidate its name; `discard` removes candidate
    and target, `clean_up` every bundle, but for those that the links name or the station has open;
    `fail_safe` raises the alarm of a station without a bundle; `report` is done when it is stored.
    """

    what: Duty


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Have a link name a bundle, or be gone."""

    link: Link
    at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Tell whoever asked; `state` is what the reported document says of the attempt."""

    state: Literal["accepted", "unchanged", "rejected"]
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeUp:
    """Offer this one again, now that the station is free."""

    offered: Offered


Action: TypeAlias = Do | Point | Answer | TakeUp


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The record comes first: written, synced, renamed; then the actions, in their order."""

    record: Record
    actions: tuple[Action, ...] = field(default=())
