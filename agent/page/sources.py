"""What the page shows things of: the parts of a station, as far as somebody may look at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from pydantic import JsonValue

from agent.archive.entry import Entry
from agent.archive.index import Kept
from agent.archive.index import Query as Wanted
from agent.contract.arguments import CommandName
from agent.marks.file import Found
from agent.marks.file import Wanted as WantedMarks
from agent.messages import Pixels
from agent.page.shown import Shown
from agent.remote.changes import ChangeFile
from agent.remote.settings.store import Snapshot
from agent.rolls.rolls import Roll
from agent.settings.settings import Settings
from agent.status.board import Board
from agent.status.day import Defect, Minute
from agent.status.metrics import Metrics

TaughtFrom: TypeAlias = Literal["camera", "passed", "archive"]
TaughtBy: TypeAlias = Literal["", "nano", "edge"]  # a bundle of its own; none: the one in force
Query: TypeAlias = Mapping[str, str]  # what stands behind the ? of an address
Json: TypeAlias = dict[str, Any]


class Shelf(Protocol):
    """The archive's folder. Calls wait for the disk and raise ArchiveError."""

    @property
    def is_open(self) -> bool: ...

    def find(self, query: Wanted) -> list[Kept]: ...

    def labels(self) -> list[str]:
        """That defects have, each once."""

    def read(self, id_: str) -> Entry:
        """Raises EntryError, too."""


class Marks(Protocol):
    """What people said of results. Calls wait for the disk and raise MarksError."""

    def find(self, wanted: WantedMarks) -> Found: ...

    def labels(self, limit: int) -> list[str]: ...


class Day(Protocol):
    """The last 24 hours; each list is oldest first."""

    def minutes(self, since: datetime) -> Mapping[str, list[Minute]]:
        """By camera."""

    def defects(self, since: datetime) -> list[Defect]: ...

    def first(self) -> int | None:
        """The earliest minute since 1970 that is known."""


class Rolls(Protocol):
    def latest(self) -> list[Roll]:
        """Of each camera with roll maps the open one, and the last that ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The way of a change of settings: checked, tried, taken back where the station gets worse."""

    in_force: Callable[[], Settings]
    propose: Callable[[Mapping[str, JsonValue], str, str], None]
    """A merge patch onto them, who wants it, and by which act; durable on return. Raises NotDoneError."""


Again: TypeAlias = Callable[[str], Json]
"""One decision once more, or why it was so, by its result_id; takes seconds. Raises NotDoneError."""


class Desk(Protocol):
    """What takes commands, of an MES and of the page alike."""

    @property
    def refusals(self) -> Mapping[str, int]:
        """By kind."""

    @property
    def performed(self) -> int: ...

    def ask(
        self,
        name: CommandName,
        args: Mapping[str, JsonValue],
        who: str,
        *,
        within_s: float,
        say: Callable[[str, Mapping[str, JsonValue]], None],
    ) -> Mapping[str, JsonValue]:
        """`say` is told how far it is. Raises NotDoneError."""


class History(Protocol):
    """The settings that were in force, by the name that goes back to them."""

    def snapshots(self) -> Sequence[tuple[str, Snapshot]]:
        """Oldest first."""

    def current(self) -> str | None: ...

    def attempted(self) -> Json | None:
        """What was answered to the last document."""

    def revert(self, sha256: str, who: str) -> None:
        """Recorded on return. Raises NotDoneError."""


class Controlled(Protocol):
    """Who may change the station while an MES commands it. Raise NotDoneError."""

    def told(self) -> Json: ...

    def require(self, who: str) -> None: ...

    def take(self, who: str, minutes: int) -> None: ...

    def give_back(self, who: str) -> None: ...


class Teaching(Protocol):
    """Own parts in five steps; one product at a time. What changes it raises NotDoneError."""

    def told(self) -> Json:
        """How far it is; asks no disk."""

    def data(self) -> Json: ...

    def picture(self, product: str, name: str) -> Pixels | None: ...

    def begin(
        self,
        product: str,
        source: TaughtFrom,
        camera: str,
        parts: int,
        target: float,
        who: str,
        *,
        preset: TaughtBy,
        minutes: float,
    ) -> None: ...

    def go_on(self, who: str) -> None: ...

    def activate(self, onto: str, who: str) -> None:
        """Only while the settings with this digest are in force."""

    def cancel(self, who: str) -> None: ...

    def sort(
        self, take_out: Sequence[str], keep: Sequence[str], who: str, *, put_back: Sequence[str]
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What a station has besides its board; None where its settings leave that out."""

    proofs: Path | None = None  # the folder of the last bundles' proofs
    archive: Shelf | None = None
    marks: Marks | None = None
    day: Day | None = None
    shift_starts: Sequence[time] = ()
    rolls: Rolls | None = None
    parts: Callable[[], Sequence[Json]] | None = None  # each part rule: its counts and its last part
    change: Change | None = None
    drift: Callable[[], Sequence[Json]] | None = None  # how each camera and recipe stands to its good parts
    outputs: Callable[[], Sequence[Mapping[str, Any]]] | None = None  # what each gate has done, and how late
    replay: Again | None = None
    explain: Again | None = None
    learn_labels: Callable[[str], Json] | None = None  # of a recipe's marks; kept, and naming nothing yet
    check_labels: Callable[[str, str], None] | None = None  # LabelsError: names no defects
    teaching: Teaching | None = None
    settings_state: Callable[[], str | None] = lambda: None  # of a change that is under way
    desk: Desk | None = None
    history: History | None = None
    control: Controlled | None = None
    changes: ChangeFile | None = None  # who changed what
    in_force: Callable[[], Json] | None = None  # digests, thresholds, recipes, and what judges each camera


NOTHING = Behind()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All that views and events are made from."""

    board: Board
    metrics: Metrics
    shown: Shown
    behind: Behind = NOTHING
