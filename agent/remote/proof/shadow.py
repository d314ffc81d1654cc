"""Candidate and incumbent judge the same stored frames, in the device's own steps and by its settings.

Both judge anew, in the same process and on the engine that each would serve by: what a stored verdict owes to
an older recipe, threshold, precision or engine is no flip of the candidate.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from agent.archive import entry
from agent.archive.entry import Entry, EntryError
from agent.clock import Clock
from agent.engines.engine import DeviceLost, OutOfMemory
from agent.foreign import stored
from agent.line.ignore import NothingLeftError
from agent.line.infer import infer
from agent.line.judge import judge
from agent.line.prepare import PrepareError, prepare
from agent.line.recipe import Recipe
from agent.messages import Floats, Frame, Judgement, VerdictName
from agent.remote.proof.document import MAX_NAMED, Flips, Frames, Look, Shift, Unusable, VerdictWord
from agent.remote.proof.limits import flips_of, is_flip, shift, shift_of

LOOKED_AT = 4  # entries for each frame that is wanted: the rest may be damaged, or of other cameras


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same settings with one bundle and with the other."""

    incumbent: Recipe
    candidate: Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """Of one bundle on one frame."""

    look: Look
    evidence: Floats | None  # (h, w), raw; None where it came to none


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One frame, judged by both."""

    entry: Entry
    incumbent: Opinion
    candidate: Opinion

    @property
    def is_flip(self) -> bool:
        return is_flip(self.incumbent.look.verdict, self.candidate.look.verdict)

    @property
    def shift(self) -> float | None:
        """None where not both decided."""
        looks = self.incumbent.look, self.candidate.look
        if any(one.verdict == "undecided" or one.normalized is None for one in looks):
            return None
        return shift(*(one.normalized for one in looks if one.normalized is not None))


@dataclass(slots=True, kw_only=True)
class Shadow:
    """What came of the frames so far."""

    wanted: int
    verdicts: list[tuple[VerdictWord, VerdictWord]] = field(default_factory=list)
    shifts: list[float] = field(default_factory=list)
    unusable: list[Unusable] = field(default_factory=list)
    passed_over: int = 0
    damaged: int = 0

    def frames(self) -> Frames:
        by_incumbent = Counter(incumbent for incumbent, _ in self.verdicts)
        return Frames(
            wanted=self.wanted,
            judged=len(self.verdicts),
            passes=by_incumbent["pass"],
            fails=by_incumbent["fail"],
            undecided=by_incumbent["undecided"],
            passed_over=self.passed_over,
            damaged=self.damaged,
        )

    def flips(self) -> Flips:
        return flips_of(self.verdicts)

    def shift(self) -> Shift | None:
        return shift_of(self.shifts)

    def judge(
        self,
        paths: Iterable[Path],
        pair_of: Callable[[Entry], Pair | None],
        clock: Clock,
        seen: Callable[[Compared], None],
    ) -> None:
        """Have both judge the first `wanted` entries that can be judged; `seen` is told of each.

        `pair_of` says by which recipes, None for a frame that the candidate would not judge. Raises
        DeviceLost and OutOfMemory: this machine cannot do it now, whatever the bundle is worth.
        """
        for path in islice(paths, LOOKED_AT * self.wanted):
            if len(self.verdicts) >= self.wanted:
                return
            found = self._read(path)
            if found is None:
                continue
            pair = pair_of(found)
            if pair is None:
                self.passed_over += 1
                continue
            compared = Compared(
                entry=found,
                incumbent=opinion(found.frame, pair.incumbent, clock),
                candidate=opinion(found.frame, pair.candidate, clock),
            )
            self.verdicts.append((compared.incumbent.look.verdict, compared.candidate.look.verdict))
            if compared.shift is not None:
                self.shifts.append(compared.shift)
            seen(compared)

    def _read(self, path: Path) -> Entry | None:
        try:
            return entry.read(path)
        except EntryError as error:
            if path.exists():  # it may have made room meanwhile
                self.damaged += 1
                if len(self.unusable) < MAX_NAMED:
                    self.unusable.append(Unusable(id=stored(path.stem), why=stored(str(error)[:500])))
            return None


def opinion(frame: Frame, recipe: Recipe, clock: Clock) -> Opinion:
    """As the line would judge it; what it could not judge is undecided. Raises DeviceLost, OutOfMemory.

    Regions to ignore lie in a part's first piece: where another one begins in it is not kept.
    """
    rules = recipe.rules_of(frame.camera)
    try:
        prepared = prepare(frame, recipe.input, clock)
        without = None if rules.ignore is None else rules.ignore.cells(prepared, rules.stride_px)
        inspection = infer(prepared, recipe.engine, clock, restored=False, without=without)
    except (DeviceLost, OutOfMemory):
        raise
    except Exception as error:  # runtimes raise what they like
        reason = next((one for kind, one in _REASONS.items() if isinstance(error, kind)), "engine_error")
        look = Look(verdict="undecided", reason=reason, raw=None, threshold=None, normalized=None)
        return Opinion(look=look, evidence=None)
    judgement = judge(frame, inspection, rules)
    return Opinion(look=_look(judgement), evidence=inspection.evidence)


def _look(judgement: Judgement) -> Look:
    raw, threshold = _finite(judgement.score), _finite(judgement.threshold)
    return Look(
        verdict=_WORDS[judgement.verdict],
        reason=judgement.reason,
        raw=raw,
        threshold=threshold,
        normalized=None if raw is None or threshold is None else 100 * raw / threshold,
    )


_REASONS: dict[type[Exception], str] = {PrepareError: "camera_error", NothingLeftError: "all_ignored"}
_WORDS: dict[VerdictName, VerdictWord] = {
    "pass": "pass",
    "fail": "fail",
    "undecided": "undecided",
    "skipped": "undecided",
}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
