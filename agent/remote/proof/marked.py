"""What a bundle makes of results that people have marked: judged again from the archive's pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from agent.archive.entry import Entry
from agent.clock import Clock
from agent.contract.mark import Mark, Truth
from agent.line.recipe import Recipe
from agent.marks.pictures import entry_of
from agent.remote.proof.document import OnMarks, VerdictWord
from agent.remote.proof.shadow import opinion

Becomes: TypeAlias = Literal["kept_right", "mended", "newly_wrong", "still_wrong", "undecided"]
BECOMES: tuple[Becomes, ...] = get_args(Becomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """One mark, and what its result would be now; `normalized` is 100 at the bundle's own threshold."""

    mark: Mark
    verdict: VerdictWord
    normalized: float | None
    becomes: Becomes


def becomes(truth: Truth, now: VerdictWord, *, was_right: bool) -> Becomes:
    """Of a result of which somebody said whether it was right, and so what the part is: pure."""
    if now == "undecided":
        return "undecided"
    is_right = (now == "fail") == (truth == "defective")
    if was_right:
        return "kept_right" if is_right else "newly_wrong"
    return "mended" if is_right else "still_wrong"


def judge_marks(
    marks: Iterable[Mark], archive: Path, recipe_of: Callable[[Entry], Recipe | None], clock: Clock
) -> Iterator[Again | None]:
    """Each once more; None for one without truth or picture, or that the bundle would not judge.

    Raises DeviceLost and OutOfMemory.
    """
    for mark in marks:
        found = None if mark.truth is None else entry_of(archive, mark)
        recipe = None if found is None else recipe_of(found)
        if mark.truth is None or found is None or recipe is None or found.frame.camera not in recipe.rules:
            yield None
            continue
        look = opinion(found.frame, recipe, clock).look
        yield Again(
            mark=mark,
            verdict=look.verdict,
            normalized=look.normalized,
            becomes=becomes(mark.truth, look.verdict, was_right=mark.says == "right"),
        )


def counted(judged: Iterable[Again | None]) -> OnMarks:
    """How many became what."""
    counts = Counter("not_judged" if one is None else one.becomes for one in judged)
    return OnMarks(**{name: counts[name] for name in (*BECOMES, "not_judged")})


def words(found: OnMarks) -> str:
    """One sentence for people."""
    judged = found.kept_right + found.mended + found.newly_wrong + found.still_wrong + found.undecided
    if not judged:
        return "no marked result could be judged again"
    said = f"of {judged} results that people have marked, {found.mended} that were wrong would be right, "
    said += f"{found.newly_wrong} that were right would be wrong, {found.kept_right} stay right, "
    said += f"{found.still_wrong} stay wrong"
    return said if not found.undecided else f"{said}, {found.undecided} could not be decided"
