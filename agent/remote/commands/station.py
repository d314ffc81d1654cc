"""What commands act on: the parts of a station, as far as commands reach into them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from pydantic import JsonValue

from agent.archive.index import Kept as Entry
from agent.clock import Clock
from agent.contract.arguments import Bind
from agent.contract.judging import MarkResult
from agent.contract.mark import Way
from agent.contract.payloads import Hold
from agent.marks.decide import Marked
from agent.outbox.replayed import Replayed
from agent.remote.commands.goods import Good, Weigh
from agent.remote.commands.snapshots import Shot
from agent.remote.rollout.orders import Rollouts


class Kept(Protocol):
    """The outbox. Each may raise."""

    def replay(self, from_sequence: int, to_sequence: int) -> Replayed:
        """Have delivered verdicts published again."""

    def confirm(self, result_ids: Sequence[str]) -> int:
        """The MES has these results; how many of them waited for that."""


class Binding(Protocol):
    """Which part and which order triggers belong to."""

    def bind(self, wanted: Bind, arrived_ns: int) -> Sequence[str]:
        """Have it hold from then on; for which cameras. May raise NotDoneError."""


class Holding(Protocol):
    """What people have stopped. Each is durable on return; raises NotDoneError or HoldsError."""

    @property
    def paused(self) -> Hold | None: ...

    @property
    def disabled(self) -> Mapping[str, Hold]: ...

    def pause(self, reason: str, who: str, arrived_ns: int) -> Hold:
        """No trigger from then on is judged; the pause that there is, or was already."""

    def resume(self, who: str, arrived_ns: int) -> Hold | None:
        """The pause that is over; None where there was none."""

    def disable(self, camera: str, reason: str, who: str) -> Hold:
        """The camera is closed; why it is, or was already."""

    def enable(self, camera: str, who: str) -> Hold | None:
        """The camera is opened again; why it was not, None where it was."""


class Pictures(Protocol):
    def latest(self, camera: str | None, now_ns: int) -> Shot:
        """What the line of this camera, or of the only one, saw last. Raises NotDoneError."""


class GoodFrames(Protocol):
    """The archive, as far as it has good frames; `pass_share` of those that pass."""

    pass_share: float

    def good(self, camera: str | None, limit: int) -> Iterator[Good | None]:
        """The newest that the bundle in force has judged; None while it looks for one. May raise."""

    def results(self, camera: str | None, limit: int) -> Iterator[Entry | None]:
        """The newest, good or not; None for each that another bundle has judged. May raise."""


class Marking(Protocol):
    def mark(self, asked: MarkResult, who: str, way: Way) -> Marked:
        """Durable on return. Raises NotDoneError, MarksError."""


class LogLevels(Protocol):
    def set_level(self, level: str, for_s: float | None) -> datetime | None:
        """Until when it holds; None: until the agent starts anew."""

    @property
    def settings_level(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One finding of the doctor."""

    family: str
    check: str
    state: Literal["ok", "note", "wrong", "skipped"]
    words: str
    remedy: str


class Doctor(Protocol):
    @property
    def families(self) -> Sequence[str]: ...

    def look(self, family: str | None) -> Iterator[Found]:
        """One finding after the other, each of which may take seconds."""


class Recommending(Protocol):
    """The way of settings that come from afar: checked, tried, taken back where the station gets worse."""

    def propose(
        self,
        patch: Mapping[str, JsonValue],
        who: str,
        onto: str | None = None,
        *,
        way: Literal["page", "command"],
        what: str,
    ) -> None:
        """A merge patch (RFC 7396) onto the settings in force; durable on return. Raises NotDoneError.

        With `onto` only where that is the digest of the settings in force: nobody changes what another did.
        `way` and `what`: by which it stands in the record of changes, once it is known what came of it.
        """


class Recipes(Protocol):
    @property
    def names(self) -> Collection[str]: ...

    def switch(self, name: str | None) -> object:
        """From the next part on, and across restarts. Raises PlumblineError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """None where the settings leave the part out, or the agent was started without it."""

    clock: Clock
    outbox: Kept
    bindings: Binding
    holds: Holding
    pictures: Pictures
    logs: LogLevels
    threshold: Callable[[str | None], float | None]  # in force, of a camera
    tell: Callable[[str, str, Mapping[str, JsonValue]], None]  # an event's name, its words, its data
    in_force: Callable[[], Mapping[str, JsonValue]]  # what judges
    weigh: Weigh
    marks: Marking | None = None
    archive: GoodFrames | None = None
    doctor: Doctor | None = None
    settings: Recommending | None = None
    recipes: Recipes | None = None
    rollouts: Rollouts | None = None
    again: Callable[[str], Mapping[str, JsonValue]] | None = None
    """One decision once more, by its result_id; takes seconds. Raises NotDoneError."""
