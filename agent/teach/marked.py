"""What teaching makes of marks: good parts join the set, confirmed defects are held apart from it.

A reject that people call wrong is a good part as the line sees it, so it widens the good set: all of them
join, which draws the threshold up rather than down, and a promised false-reject rate is kept. A confirmed
defect is never taught, nor counted in the promise: it says what the threshold would catch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agent.archive.entry import Entry
from agent.contract.mark import Mark, Truth
from agent.marks.file import Wanted as Query
from agent.marks.pictures import entry_of
from agent.marks.read import newest, place
from agent.messages import Pixels
from agent.settings.settings import Settings
from agent.teach.collect import Got
from agent.teach.part_set import PartSet, name_at
from agent.track.depth import eight_bits

MOST_HELD = 500  # of the newest: each is judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A part that people say is defective."""

    mark: Mark
    image: Pixels


Confirmed: TypeAlias = Callable[[], Iterator[Held]]


def nobody_marked() -> Iterator[Held]:
    return iter(())


def good_parts(parts: PartSet, wanted: Settings, camera: str | None, count: int) -> Iterator[Got]:
    """Parts that people say are good into the set, the newest first, beside a running agent.

    Raises MarksError, PartSetError.
    """
    have, there = parts.origins(), parts.count()
    for _, kept in _kept(wanted, "good", camera, count):
        if there >= count:
            return
        frame = kept.frame
        if name_at(frame.captured_at) in have:
            continue
        parts.add_picture(eight_bits(frame.image, frame.bit_depth), frame.captured_at)
        there += 1
        yield Got(parts=there, wanted=count)


def confirmed(wanted: Settings, camera: str | None) -> Iterator[Held]:
    """The newest parts that people say are defective, beside a running agent. Raises MarksError."""
    for mark, kept in _kept(wanted, "defective", camera, MOST_HELD):
        yield Held(mark=mark, image=eight_bits(kept.frame.image, kept.frame.bit_depth))


def caught(held: Sequence[Mapping[str, Any]], threshold: float) -> dict[str, Any]:
    """How many of `held` (result_id, label, score) a threshold rejects, and which it does not."""
    missed = [dict(one) for one in held if not one["score"] >= threshold]
    return {"confirmed": len(held), "caught": len(held) - len(missed), "missed": missed}


def words(found: Mapping[str, Any]) -> list[str]:
    """What `caught` says, for people; nothing where nobody confirmed a defect."""
    if not found["confirmed"]:
        return []
    labels = sorted({one["label"] for one in found["missed"] if one["label"] is not None})
    missed = f"; missed are such as {', '.join(labels)}" if labels else ""
    said = f"of {found['confirmed']} defects that people confirmed it rejects {found['caught']}{missed}; they"
    return [f"{said} are held apart, neither taught nor counted in the promise"]


def _kept(wanted: Settings, truth: Truth, camera: str | None, limit: int) -> Iterator[tuple[Mark, Entry]]:
    """Those whose picture is still there."""
    archive = wanted.archive.folder
    if archive is None:
        return
    asked = Query(truth=truth, camera=camera, limit=limit)
    for mark in newest(place(wanted.outbox.path), asked).marks:
        if (kept := entry_of(archive, mark)) is not None:
            yield mark, kept
