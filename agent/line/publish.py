"""Record to durable row: one for each trigger, committed before anybody hears of it.

The sequence number is given here, one after the other; the outbox commits in order, so what is on
disk never has a gap. Page, metrics and log are told by the outbox after the commit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

import structlog

from agent.clock import Clock
from agent.contract.topics import Topics
from agent.contract.verdict import Verdict
from agent.line.binding import Bound
from agent.line.bindings import Bindings
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
)
from agent.messages import Frame, FrameFault, Inspection, Pixels
from agent.outbox.outbox import Outbox
from agent.rolls.rolls import Rolls
from agent.status.board import Board
from agent.status.metrics import Metrics

log = structlog.get_logger()

Keep: TypeAlias = Callable[[Verdict, Frame, Inspection | None, str], None]  # and the recipe's digest


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
        board: Board,
        metrics: Metrics,
        first_sequence: int,
        bindings: Bindings | None = None,
        rolls: Rolls | None = None,
        keep: Keep | None = None,
    ) -> None:
        """`keep` is told of every record that has a picture, after its commit."""
        self._outbox = outbox
        self._topics = topics
        self._origin = origin
        self._clock = clock
        self._clock_synced = clock_synced
        self._new_id = new_id
        self._board = board
        self._metrics = metrics
        self._sequence = first_sequence
        self._bindings = bindings
        self._rolls = rolls
        self._keep = keep
        self._order = threading.Lock()

    def record(self, judged: Judged) -> Verdict:
        """A judged frame's record, with its crops. Raises OutboxError when nothing can be kept."""
        picture = eight_bit_picture(judged.frame)
        draft = judged_draft(judged, picture, self._new_id)
        return self._append(draft, lambda verdict: self._show(verdict, judged, picture))

    def record_undecided(self, frame: Frame, recipe: Recipe, reason: str, detail: str) -> Verdict:
        """The record of a frame that could not be judged to the end."""
        draft = undecided_draft(frame, recipe, reason, detail)
        return self._append(draft, lambda verdict: self._show_unjudged(verdict, frame, recipe))

    def record_skipped(self, fault: FrameFault, recipe: Recipe) -> Verdict:
        """The record of a trigger that gave no judgeable picture."""
        draft = skipped_draft(fault, recipe)
        return self._append(draft, lambda verdict: self._board.judged(verdict, fault.thumbnail))

    def _append(self, draft: Draft, announce: Callable[[Verdict], None]) -> Verdict:
        item, now = draft.item, self._clock.utc_now()
        bound = Bound() if self._bindings is None else self._bindings.of(item.camera, item.captured_ns)
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
                roll_id=None if self._rolls is None else self._rolls.roll_id(item.camera, item.first_line),
            )
            verdict = verdict_of(draft, stamp, self._origin)
            rows = rows_of(draft, verdict, now, self._topics)
            self._outbox.append(rows, lambda: self._committed(verdict, item, announce))
            self._sequence += 1
        return verdict

    def _committed(
        self, verdict: Verdict, item: Frame | FrameFault, announce: Callable[[Verdict], None]
    ) -> None:
        """In the outbox's thread: the record is durable, now others may know."""
        self._metrics.frame(verdict.camera)
        self._metrics.verdict(verdict.camera, verdict.verdict)
        if verdict.verdict in ("undecided", "skipped"):
            self._metrics.unjudged(verdict.camera, verdict.reason or "other")
        self._metrics.recorded((self._clock.monotonic_ns() - item.captured_ns) / 1e9)
        if verdict.timing_ms.infer is not None:
            self._metrics.inspected(verdict.timing_ms.infer / 1e3)
        if isinstance(item, FrameFault):
            self._metrics.skipped(item.reason)
            self._metrics.camera_fault(item.camera, item.reason)
        if verdict.frame.lines_lost:
            self._metrics.lines_lost(verdict.camera, verdict.frame.lines_lost)
        if self._rolls is not None:
            self._rolls.take(verdict, item.image.shape[1] if isinstance(item, Frame) else 0)
        announce(verdict)
        log.debug("verdict", sequence=verdict.sequence, camera=verdict.camera, verdict=verdict.verdict)

    def _show(self, verdict: Verdict, judged: Judged, picture: Pixels) -> None:
        self._board.judged(verdict, picture)
        if self._keep is not None:
            self._keep(verdict, judged.frame, judged.inspection, judged.recipe.digest)
        if verdict.verdict != "pass":
            self._board.rejected(
                verdict,
                image=picture,
                restored=judged.inspection.restored,
                evidence=judged.inspection.evidence,
                threshold=judged.judgement.threshold,
            )

    def _show_unjudged(self, verdict: Verdict, frame: Frame, recipe: Recipe) -> None:
        self._board.judged(verdict, eight_bit_picture(frame))
        if self._keep is not None:
            self._keep(verdict, frame, None, recipe.digest)
