"""Results of an archive that the bundle in force has judged: all of them, and the good frames among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from agent.archive import bounds, entry
from agent.archive.entry import EntryError
from agent.archive.index import Kept, Query

AT_ONCE = 100  # of the index
TRIED = 20  # entries that are looked at for each one that is wanted

Find = Callable[[Query], Sequence[Kept]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A frame that was, or should have been, passed; `minute` is when it was recorded, None: not known."""

    score: float
    is_false_alarm: bool
    camera: str = ""
    minute: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What good frames say of a threshold, and all that is told of it."""

    threshold: float
    data: Mapping[str, JsonValue]


Weigh = Callable[[Sequence[Good], float], Weighed]  # for a target false-reject rate; raises PlumblineError


class Goods:
    """Calls wait for the disk; each raises ArchiveError."""

    def __init__(
        self, find: Find, folder: Path, *, pass_share: float, bundle_sha256: Callable[[], str]
    ) -> None:
        self._find = find
        self._folder = folder
        self.pass_share = pass_share
        self._bundle_sha256 = bundle_sha256

    def good(self, camera: str | None, limit: int) -> Iterator[Good | None]:
        """Good frames, at most `limit`, the newest first; None after each entry that is none."""
        bundle, found = self._bundle_sha256(), 0
        for one in self._newest(camera, max(limit * TRIED, AT_ONCE)):
            good = self._look(one, bundle)
            found += good is not None
            yield good
            if found >= limit:
                return

    def results(self, camera: str | None, limit: int) -> Iterator[Kept | None]:
        """Whatever was decided, at most `limit`, the newest first; None for what another bundle decided."""
        bundle, known = self._bundle_sha256(), dict[str, bool]()  # a recipe's digest names its bundle
        for one in self._newest(camera, limit):
            if one.head.recipe not in known:
                known[one.head.recipe] = self._is_of(one, bundle)
            yield one if known[one.head.recipe] and one.head.score is not None else None

    def _newest(self, camera: str | None, limit: int) -> Iterator[Kept]:
        after = None
        for first in range(0, limit, AT_ONCE):
            wanted = min(AT_ONCE, limit - first)
            kept = self._find(Query(camera=camera, after=after, limit=wanted))
            yield from kept
            if len(kept) < wanted:
                return
            after = kept[-1].head.created, kept[-1].head.id

    def _look(self, one: Kept, bundle: str) -> Good | None:
        head = one.head
        word = None if head.mark is None else head.mark.word
        is_false_alarm = word == "false_alarm"
        passed = head.verdict == "pass" and word != "missed_defect"
        if head.score is None or not (passed or is_false_alarm):
            return None
        if not passed and not bounds.by_chance(head.id, self.pass_share):
            return None
        if not self._is_of(one, bundle):
            return None
        return Good(score=head.score, is_false_alarm=not passed, camera=head.camera, minute=head.created[:16])

    def _is_of(self, one: Kept, bundle: str) -> bool:
        """Whether this bundle judged it; one that made room meanwhile, or is damaged, is nobody's."""
        try:
            return entry.read_bundle(self._folder / one.path) == bundle
        except (OSError, EntryError):
            return False
