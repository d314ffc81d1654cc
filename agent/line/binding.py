"""Which part and which order a trigger belongs to, when the field says so by command.

One `Timeline` for each camera: what was said, each from the moment at which its command arrived,
and which of it a trigger has used. A trigger belongs to the last part that was said before it was
captured, however much later its record is made. A new part takes the place of the one before, so that
a trigger that never came does not shift all that follow. Triggers of one camera come in order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

GRACE_NS = 15_000_000_000  # how long a captured trigger may wait for its record
KEPT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part, from the arrival of its command on; `part_id` None: no part any more."""

    part_id: str | None
    from_ns: int
    bind_id: str | None = None  # of the message that named it
    until_ns: int | None = None
    once: bool = False
    used: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    job_id: str | None
    from_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    product: str | None
    from_ns: int


T = TypeVar("T", Part, Job, Product)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Of one camera; the oldest first. The first of each kind reaches back for ever."""

    parts: tuple[Part, ...] = (Part(part_id=None, from_ns=0, used=True),)
    jobs: tuple[Job, ...] = (Job(job_id=None, from_ns=0),)
    products: tuple[Product, ...] = (Product(product=None, from_ns=0),)
    seen_ns: int = -1  # when the last trigger was captured that has its record


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What the record of one trigger says."""

    part_id: str | None = None
    bind_id: str | None = None  # of the message that named the part
    job_id: str | None = None
    product: str | None = None  # decides on the recipe, and is not recorded


def is_late(timeline: Timeline, from_ns: int) -> bool:
    """Whether a trigger that came after `from_ns` has its record already."""
    return timeline.seen_ns >= from_ns


def bound(timeline: Timeline, captured_ns: int) -> tuple[Timeline, Bound]:
    """What a trigger belongs to, and what is left for those after it."""
    part = _at(timeline.parts, captured_ns)
    of = Bound(
        job_id=_at(timeline.jobs, captured_ns).job_id,
        product=_at(timeline.products, captured_ns).product,
    )
    after = replace(timeline, seen_ns=max(timeline.seen_ns, captured_ns))
    over = part.until_ns is not None and captured_ns > part.until_ns
    if over or (part.once and part.used):
        return after, of
    of = replace(of, part_id=part.part_id, bind_id=None if part.part_id is None else part.bind_id)
    if part.used:
        return after, of
    parts = tuple(replace(one, used=True) if one is part else one for one in timeline.parts)
    return replace(after, parts=parts), of


def settled(timeline: Timeline, now_ns: int) -> tuple[Timeline, tuple[Part, ...]]:
    """Without what no trigger can use any more, and which parts of that none has used."""
    surely_ns = max(timeline.seen_ns, now_ns - GRACE_NS)  # of triggers up to here the records are made
    unused: list[Part] = []
    parts: list[Part] = []
    for part, following in zip(timeline.parts, (*timeline.parts[1:], None), strict=True):
        replaced = following is not None and following.from_ns <= surely_ns
        ended = part.until_ns is not None and part.until_ns < surely_ns
        if (replaced or ended) and not part.used:
            unused.append(part)
            part = replace(part, used=True)
        if not replaced:
            parts.append(part)
    over = max(0, len(parts) - KEPT)
    unused += [part for part in parts[:over] if not part.used]
    left = replace(
        timeline,
        parts=tuple(parts[over:]),
        jobs=_since(timeline.jobs, surely_ns),
        products=_since(timeline.products, surely_ns),
    )
    return left, tuple(unused)


def _at(said: tuple[T, ...], captured_ns: int) -> T:
    """What held then."""
    return next((one for one in reversed(said) if one.from_ns <= captured_ns), said[0])


def _since(said: tuple[T, ...], surely_ns: int) -> tuple[T, ...]:
    """Without what nothing after `surely_ns` belongs to."""
    held = [
        one
        for one, following in zip(said, (*said[1:], None), strict=True)
        if following is None or following.from_ns > surely_ns
    ]
    return tuple(held[-KEPT:])
