"""Record to durable row: one for each trigger, committed before anybody hears of it.

The sequence number is given here, one after the other; the outbox commits in order, so what is on
disk never has a gap. Whoever listens is told after the commit, in the outbox's thread; a listener
that raises costs no record and no other listener anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from agent.clock import Clock
from agent.contract.topics import Topics
from agent.contract.verdict import Verdict
from agent.errors import PlumblineError
from agent.line.binding import Bound
from agent.line.bindings import Bindings
from agent.line.crops import Crop
from agent.line.recipe import Recipe
from agent.line.record import (
    Draft,
    Judged,
    Origin,
    Stamp,
    eight_bit_picture,
    judged_draft,
    rows_of,
    skipped_draft,
    undecided_draft,
    verdict_of,
    without_part,
)
from agent.messages import Frame, FrameFault, Inspection, Item, Pixels
from agent.outbox.outbox import Outbox

log = structlog.get_logger()


class ListenerError(PlumblineError):
    """Somebody who was told of a record raised; the record is durable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A record that is durable, and what it was made of. Nobody may write into the arrays."""

    verdict: Verdict
    item: Item
    recipe: Recipe  # that judged, or was in force
    picture: Pixels | None  # the frame in 8 bits, or the thumbnail of a trigger without one
    inspection: Inspection | None  # None: it was not judged
    capture_to_committed_s: float
    crops: tuple[Crop, ...] = ()
    defects_left_out: int = 0  # that the verdict does not name
    part_line: int = 0  # of the frame's first line, counted from where its part begins

    @property
    def frame(self) -> Frame | None:
        return self.item if isinstance(self.item, Frame) else None


class Listener(Protocol):
    """Who is told of records; it must be quick, for the next commit waits."""

    def recorded(self, told: Recorded) -> None: ...


class Publisher:
    """Makes the records of all lines; each method is safe from any thread."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        topics: Topics,
        origin: Origin,
        clock: Clock,
        clock_synced: Callable[[], bool | None],
        new_id: Callable[[], str],
        first_sequence: int,
        listeners: Sequence[Listener] = (),
        bindings: Bindings | None = None,
        roll_of: Callable[[str, int], str | None] = lambda camera, first_line: None,
        parts_required: Collection[str] = (),
    ) -> None:
        """`roll_of` gives the roll of a camera's line; triggers of `parts_required` need a part."""
        self._outbox = outbox
        self._topics = topics
        self._origin = origin
        self._clock = clock
        self._clock_synced = clock_synced
        self._new_id = new_id
        self._sequence = first_sequence
        self._listeners = listeners
        self._bindings = bindings
        self._roll_of = roll_of
        self._parts_required = frozenset(parts_required)
        self._order = threading.Lock()
        self._failure: str | None = None

    def check(self) -> None:
        """Raises ListenerError, from the first time on that a listener raised."""
        if self._failure is not None:
            raise ListenerError(self._failure)

    def record(self, judged: Judged) -> Verdict:
        """A judged frame's record, with its crops. Raises OutboxError when nothing can be kept."""
        picture = eight_bit_picture(judged.frame)
        draft = judged_draft(judged, picture, self._new_id)
        return self._append(draft, picture, judged.inspection, judged.bound)

    def record_undecided(
        self, frame: Frame, recipe: Recipe, reason: str, detail: str, bound: Bound | None = None
    ) -> Verdict:
        """The record of a frame that could not be judged to the end; `bound` as `Judged` has it."""
        draft = undecided_draft(frame, recipe, reason, detail)
        return self._append(draft, eight_bit_picture(frame), None, bound)

    def record_skipped(self, fault: FrameFault, recipe: Recipe, bound: Bound | None = None) -> Verdict:
        """The record of a trigger that gave no judgeable picture; `bound` as `Judged` has it."""
        return self._append(skipped_draft(fault, recipe), fault.thumbnail, None, bound)

    def bound(self, item: Item) -> Bound:
        """What a trigger belongs to; to be asked once for each, in their order, if before its record."""
        return Bound() if self._bindings is None else self._bindings.of(item.camera, item.captured_ns)

    def _append(
        self, draft: Draft, picture: Pixels | None, inspection: Inspection | None, bound: Bound | None
    ) -> Verdict:
        item, now = draft.item, self._clock.utc_now()
        if bound is None:
            bound = self.bound(item)
        if item.camera in self._parts_required and bound.part_id is None and item.part_id is None:
            draft = without_part(draft)
        with self._order:
            if self._outbox.failure is not None:
                raise self._outbox.failure
            stamp = Stamp(
                result_id=self._new_id(),
                sequence=self._sequence,
                created=now,
                recorded_ns=self._clock.monotonic_ns(),
                clock_synced=self._clock_synced(),
                bound=bound,
                roll_id=self._roll_of(item.camera, item.first_line),
            )
            verdict = verdict_of(draft, stamp, self._origin)
            rows = rows_of(draft, verdict, now, self._topics)
            self._outbox.append(rows, lambda: self._tell(verdict, draft, picture, inspection))
            self._sequence += 1
        return verdict

    def _tell(
        self, verdict: Verdict, draft: Draft, picture: Pixels | None, inspection: Inspection | None
    ) -> None:
        """In the outbox's thread: the record is durable, now others may know."""
        told = Recorded(
            verdict=verdict,
            item=draft.item,
            recipe=draft.recipe,
            picture=picture,
            inspection=inspection,
            capture_to_committed_s=(self._clock.monotonic_ns() - draft.item.captured_ns) / 1e9,
            crops=draft.crops,
            defects_left_out=len(draft.judgement.defects) - len(verdict.defects),
            part_line=draft.part_line,
        )
        for listener in self._listeners:
            try:
                listener.recorded(told)
            except Exception as error:  # raised on, it would end the outbox, and with it the next records
                self._note(listener, verdict, error)
        log.debug("verdict", sequence=verdict.sequence, camera=verdict.camera, verdict=verdict.verdict)

    def _note(self, listener: Listener, verdict: Verdict, error: Exception) -> None:
        if self._failure is None:
            name = type(listener).__name__
            self._failure = f"{name} raised {error!r} at record {verdict.sequence}, which is kept"
            log.error("listener_failed", listener=name, sequence=verdict.sequence, exc_info=error)
