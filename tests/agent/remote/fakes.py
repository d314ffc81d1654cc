"""A station that commands act on, of parts that only remember what was asked of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import JsonValue

from agent.archive.entry import Head
from agent.archive.files import File
from agent.archive.index import Kept
from agent.archive.record import Mark, MarkWord
from agent.clock import Clock, ManualClock
from agent.contract.commands import NotDoneError
from agent.contract.reported import AttemptState
from agent.line.holds import Holds
from agent.messages import Frame, VerdictName
from agent.remote.commands.goods import Good
from agent.remote.commands.snapshots import Shot, Snapshots
from agent.remote.commands.station import Found, Station
from agent.remote.rollout.orders import Said, SaidState, Standing
from agent.schemas import examples
from agent.teach.weighing import weigh


@dataclass
class Told:
    """The events of a station, by name."""

    events: list[tuple[str, Mapping[str, JsonValue]]] = field(default_factory=list)

    def __call__(self, event: str, words: str, data: Mapping[str, JsonValue]) -> None:
        assert words
        self.events.append((event, data))

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


@dataclass
class Levels:
    level: str = "info"
    settings_level: str = "info"

    def set_level(self, level: str, for_s: float | None) -> datetime | None:
        self.level = level
        return None if for_s is None else examples.WHEN + timedelta(seconds=for_s)


@dataclass
class FakeDoctor:
    found: Sequence[Found] = ()
    families: Sequence[str] = ("disk", "broker")
    fails: Exception | None = None

    def look(self, family: str | None) -> Iterator[Found]:
        for one in self.found:
            if family in (None, one.family):
                yield one
        if self.fails is not None:
            raise self.fails


def entry(
    id_: str, verdict: VerdictName, score: float | None, mark: MarkWord | None = None, recipe: str = "recipe"
) -> Kept:
    """As the archive's index has it."""
    head = Head(
        id=id_,
        created="2026-01-01T00:00:00.000Z",
        camera="top",
        verdict=verdict,
        reason=None,
        score=score,
        threshold=0.031,
        part_id=None,
        recipe=recipe,
        mark=None if mark is None else Mark(word=mark, by="lead", at=examples.WHEN),
    )
    return Kept(head=head, file=File(id=id_, day="2026-01-01", size=1, mtime_ns=0))


@dataclass
class FakeArchive:
    goods: Sequence[Good | None] = ()
    kept: Sequence[Kept | None] = ()
    pass_share: float = 1.0

    def good(self, camera: str | None, limit: int) -> Iterator[Good | None]:
        return iter(self.goods)

    def results(self, camera: str | None, limit: int) -> Iterator[Kept | None]:
        return iter(self.kept)


@dataclass
class FakeSettings:
    refuses: NotDoneError | None = None
    digest: str = "5e" * 32
    proposed: list[tuple[Mapping[str, JsonValue], str]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)  # way and what

    def propose(
        self,
        patch: Mapping[str, JsonValue],
        who: str,
        onto: str | None = None,
        *,
        way: Literal["page", "command"],
        what: str,
    ) -> None:
        if onto not in (None, self.digest):
            raise NotDoneError("impossible", "somebody has changed the settings meanwhile")
        if self.refuses is not None:
            raise self.refuses
        self.proposed.append((patch, who))
        self.told.append((way, what))


@dataclass
class FakeRecipes:
    names: Sequence[str] = ("cells-5x5",)
    in_force: str | None = None

    def switch(self, name: str | None) -> object:
        self.in_force = name
        return None


def said(code: int, message: str = "words", transaction: str | None = None) -> Said:
    state: SaidState = "accepted" if code == 202 else "unchanged" if code == 200 else "rejected"
    return Said(state=state, code=code, message=message, transaction=transaction)


def standing(
    state: AttemptState, code: int = 202, *, share: float | None = None, why: str = "words"
) -> Standing:
    over = state in ("applied", "rolled_back", "failed")
    return Standing(state=state, code=code, message=why, share=share, is_over=over)


@dataclass
class FakeRollouts:
    """`stands` are given one after the other, and the last one for ever."""

    says: Said = field(default_factory=lambda: said(202, transaction="t-1"))
    stands: list[Standing | None] = field(default_factory=list)
    asked: list[tuple[object, ...]] = field(default_factory=list)

    def install(self, document: bytes) -> Said:
        self.asked.append(("install", document))
        return self.says

    def roll_back(self, who: str, reason: str) -> Said:
        self.asked.append(("roll_back", who, reason))
        return self.says

    def adopt(self, source: Path, sha256: str) -> Said:
        self.asked.append(("adopt", source))
        return self.says

    def cancel(self, transaction: str | None) -> Said:
        self.asked.append(("cancel", transaction))
        return self.says

    def standing(self, transaction: str) -> Standing | None:
        return self.stands.pop(0) if len(self.stands) > 1 else self.stands[0]


def frame(value: int = 90, *, camera: str = "top", shape: tuple[int, int] = (60, 80)) -> Frame:
    noise = np.random.default_rng(value).integers(0, 256, (*shape, 3), np.uint8)
    return Frame(camera=camera, frame_id=1, image=noise, captured_ns=0, captured_at=examples.WHEN)


def shot(seen: Frame) -> Shot:
    verdict = examples.verdict().model_copy(update={"camera": seen.camera})
    return Shot(item=seen, picture=seen.image.astype(np.uint8), verdict=verdict)


def station_of(clock: Clock | None = None, *, folder: Path | None = None, **parts: Any) -> Station:
    """With `parts` in place of the fakes; what is recorded lies in `folder`."""
    clock = clock or ManualClock()
    holds = Holds(["top"], path=(folder or Path("/nowhere")) / "holds.json", clock=clock)
    defaults: dict[str, Any] = {
        "outbox": None,
        "bindings": None,
        "holds": holds,
        "pictures": Snapshots(["top"]),
        "logs": Levels(),
        "threshold": lambda camera: 0.031,
        "in_force": lambda: {"bundle": "ab" * 32, "settings": "5e" * 32, "thresholds": {"top": 0.031}},
        "weigh": weigh,
        "tell": Told(),
    }
    return Station(clock=clock, **{**defaults, **parts})
