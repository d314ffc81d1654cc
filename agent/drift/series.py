"""The frames of one camera by one recipe: learned from, then compared. Bounded, whatever comes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from agent.drift.compare import Seen, look
from agent.drift.episode import Episode, go_on
from agent.drift.pictures import small
from agent.drift.reference import Reference, bands_of, nearest_to_middle
from agent.messages import Floats, Pixels

NEWEST = 128  # frames that are compared
LOOK_EVERY = 16  # of them
PICTURES = 24  # of good parts, one of which becomes that of the reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One judged frame."""

    result_id: str
    row: Floats  # (len(NAMES),)
    passed: bool
    picture: Pixels  # in 8 bits


@dataclass(slots=True, kw_only=True)
class Series:
    """Not safe from several threads at once."""

    camera: str
    recipe: str
    footing: str
    good: int  # parts that are learned from
    reference: Reference | None = None
    picture: Pixels | None = None  # of the reference's typical part
    newest: dict[bool, Taken] = field(default_factory=dict)  # by whether they passed
    seen: Seen | None = None
    episode: Episode = field(default_factory=Episode)
    rows: deque[tuple[Floats, bool]] = field(default_factory=lambda: deque(maxlen=NEWEST))
    learned: list[Floats] = field(default_factory=list)
    pictures: list[tuple[int, str, Pixels]] = field(default_factory=list)
    fails: int = 0
    unseen: int = 0  # frames since the last look

    def take(self, taken: Taken) -> None:
        """A judged frame."""
        self.newest[taken.passed] = taken
        if self.reference is not None:
            self.rows.append((taken.row, taken.passed))
            self.unseen += 1
            return
        if not taken.passed:
            self.fails += 1
            return
        if len(self.learned) < self.good:
            if len(self.learned) % max(1, self.good // PICTURES) == 0:
                self.pictures.append((len(self.learned), taken.result_id, small(taken.picture)))
            self.learned.append(taken.row)

    def learn(self, since: str) -> bool:
        """Make the reference once there are enough good parts; whether it was made now."""
        if self.reference is not None or len(self.learned) < self.good:
            return False
        rows = np.stack(self.learned)
        bands = bands_of(rows)
        numbers = [number for number, _, _ in self.pictures]
        _, result_id, picture = self.pictures[nearest_to_middle(rows[numbers], bands)]
        self.take_reference(
            Reference(
                camera=self.camera,
                recipe=self.recipe,
                footing=self.footing,
                since=since,
                good=len(rows),
                fails=self.fails,
                bands=bands,
                typical=result_id,
            ),
            picture,
        )
        return True

    def take_reference(self, reference: Reference, picture: Pixels | None) -> None:
        """Compare with this one from now on."""
        self.reference, self.picture = reference, picture
        self.learned, self.pictures, self.fails = [], [], 0

    def look(self) -> tuple[Episode, Episode] | None:
        """The episode before and after a look; None while it is too early for one."""
        if self.reference is None or self.unseen < LOOK_EVERY:
            return None
        rows, passed = zip(*self.rows, strict=True)
        seen = look(self.reference, np.stack(rows), np.array(passed, np.bool_))
        if seen is None:
            return None
        self.unseen, self.seen = 0, seen
        before, self.episode = self.episode, go_on(self.episode, seen)
        return before, self.episode
