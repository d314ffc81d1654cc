"""Records into the archive, in a thread of its own: whoever hands one over never waits.

What waits to be written is bounded in bytes; beyond that, and while the folder takes nothing, records are
left out and counted. The folder is tried again until it takes them.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

import structlog

from agent.archive import bounds, entry, pixels
from agent.archive.faults import ArchiveError, NoRoomError
from agent.archive.files import TORN
from agent.archive.record import Decided, decided_by
from agent.archive.shelf import Opened, Shelf
from agent.backoff import backoff_s
from agent.clock import Clock
from agent.contract.verdict import Verdict
from agent.foreign import shown
from agent.line.publish import Recorded
from agent.messages import Frame, Inspection
from agent.settings import archive as settings

WAITING_BYTES = 64 << 20  # of arrays held until they are written; one record always may wait
TIDY_EVERY_S = 10.0
DRAIN_S = 5.0
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 30.0
NICENESS = 10  # of the thread: the line comes first

Reason: TypeAlias = Literal["queue", "folder", "room", "frame"]
REASONS: tuple[Reason, ...] = ("queue", "folder", "room", "frame")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Since the start, and what there is now."""

    written: int
    dropped: Mapping[Reason, int]  # wanted and not kept: writer too slow, folder, bounds, not a picture
    evicted: int
    failures: int  # times that the folder took nothing any more
    entries: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Record:
    verdict: Verdict
    recipe: str
    frame: Frame
    inspection: Inspection | None
    decided: Decided | None

    @property
    def size_bytes(self) -> int:
        if self.inspection is None:
            return self.frame.image.nbytes
        arrays = (self.inspection.evidence, self.inspection.restored)
        return self.frame.image.nbytes + sum(one.nbytes for one in arrays if one is not None)


class Archive:
    """Holds references to the arrays it is given until they are written: nobody may write into them."""

    def __init__(
        self, shelf: Shelf, limits: settings.Archive, *, clock: Clock, waiting_bytes: int = WAITING_BYTES
    ) -> None:
        self.shelf = shelf
        self._limits = limits
        self._clock = clock
        self._waiting_bytes = waiting_bytes
        self._rng = random.Random()
        self._changed = threading.Condition()
        self._waiting: deque[_Record] = deque()
        self._held_bytes = 0
        self._busy = False
        self._stopping = False
        self._written = 0
        self._failures = 0
        self._dropped: Counter[Reason] = Counter()
        self._told: Counter[Reason] = Counter()
        self._fault: str | None = None
        self._full: str | None = None
        self._opened = Opened(foreign=(), torn=0)
        self._need_bytes = 0
        self._tidied_ns = clock.monotonic_ns()
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, for some seconds at most, and let go of the folder."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(DRAIN_S)
        with self._changed:
            left = len(self._waiting)
            self._dropped["queue"] += left
            self._waiting.clear()
        if left:
            log.warning("archive_dropped", records=left, reason="stopped before they were written")
        self._thread.join(DRAIN_S)

    def recorded(self, told: Recorded) -> None:
        """A record is durable; of one without a picture nothing is kept. From any thread; never waits."""
        if told.frame is None:
            return
        decided = decided_by(
            told.recipe.rules_of(told.frame.camera),
            precision=None if told.inspection is None else told.inspection.precision,
            part_line=told.part_line,
        )
        self.offer(told.verdict, told.frame, told.inspection, told.recipe.digest, decided)

    def offer(
        self,
        verdict: Verdict,
        frame: Frame,
        inspection: Inspection | None,
        recipe: str,
        decided: Decided | None = None,
    ) -> None:
        """A record is durable; keep its frame where the settings want it. From any thread; never waits.

        `recipe` is the digest of what judged it, `decided` by which rules.
        """
        if not bounds.wanted(verdict, self._limits):
            return
        record = _Record(verdict, recipe, frame, inspection, decided)
        with self._changed:
            if self._stopping:
                self._dropped["queue"] += 1
            elif not pixels.is_picture(frame.image):
                self._dropped["frame"] += 1
            elif self._waiting and self._held_bytes + record.size_bytes > self._waiting_bytes:
                self._dropped["folder" if self._fault else "queue"] += 1
            else:
                self._waiting.append(record)
                self._held_bytes += record.size_bytes
                self._changed.notify()

    def counts(self) -> Counts:
        """From any thread."""
        with self._changed:
            dropped = {reason: self._dropped[reason] for reason in REASONS}
            written, failures = self._written, self._failures
        return Counts(
            written=written,
            dropped=dropped,
            evicted=self.shelf.evicted,
            failures=failures,
            entries=self.shelf.entries,
            size_bytes=self.shelf.size_bytes,
        )

    def words(self) -> tuple[str, ...]:
        """What stands against keeping frames, one sentence each; empty when all is well."""
        fault, full, opened = self._fault, self._full, self._opened
        words = [f"Archive takes no frames: {reason}" for reason in (fault, full) if reason]
        if opened.torn:
            words.append(
                f"Archive: entries were cut short and lie in {self.shelf.folder / TORN}; check the disk, then"
                " remove them"
            )
        if opened.foreign:
            words.append(
                f"Archive: another version or program wrote {shown(str(opened.foreign[0]))}"
                f"{' and others' * (len(opened.foreign) > 1)}; archive.max_bytes does not count them: move"
                " them away"
            )
        return tuple(words)

    def settle(self, timeout_s: float) -> bool:
        """Whether all that was handed over is dealt with, after waiting for it at most so long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout_s)

    def _run(self) -> None:
        with suppress(OSError):  # not Linux, or not allowed
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        attempt = 0
        while not self._is_done():
            try:
                self._step()
            except Exception as error:  # whatever it is, the station goes on without an archive, and says so
                self._failed(error)
                self._pause(backoff_s(attempt, self._rng, first_s=FIRST_RETRY_S, longest_s=LONGEST_RETRY_S))
                attempt += 1
            else:
                attempt = 0
        self.shelf.close()

    def _step(self) -> None:
        if not self.shelf.is_open:
            self._opened = self.shelf.open(need_bytes=self._need_bytes)
            if self._fault is not None:
                log.info("archive_recovered", folder=str(self.shelf.folder))
            self._fault = None
        record = self._next(0.0 if self._tidy() else TIDY_EVERY_S)
        if record is None:
            return
        try:
            self._keep(record)
        finally:
            with self._changed:
                self._held_bytes -= record.size_bytes
                self._busy = False
                self._changed.notify_all()

    def _next(self, timeout_s: float) -> _Record | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping, timeout_s)
            if not self._waiting:
                return None
            self._busy = True
            return self._waiting.popleft()

    def _keep(self, record: _Record) -> None:
        """Raises ArchiveError when the folder does not take it."""
        head = entry.head_of(record.verdict, record.recipe)
        try:
            pieces = entry.compose(
                record.verdict, record.recipe, record.frame, record.inspection, record.decided
            )
            self._need_bytes = sum(map(len, pieces))
            kept = self.shelf.put(head, pieces)
        except NoRoomError as error:
            self._drop("room")
            self._tell_full(str(error))
        except ArchiveError:
            self._drop("folder")
            raise
        except Exception as error:  # of this one frame
            self._drop("frame")
            log.warning("archive_frame_not_kept", result_id=head.id, error=str(error))
        else:
            self._full = None
            if not kept:
                self._drop("room")
                return
            with self._changed:
                self._written += 1

    def _tidy(self) -> bool:
        """Now and then; whether there is more to do."""
        if self._clock.monotonic_ns() - self._tidied_ns < TIDY_EVERY_S * 1e9:
            return False
        if self.shelf.tidy():
            return True
        self._tidied_ns = self._clock.monotonic_ns()
        self._opened = self.shelf.look_again(self._opened)
        if self._full is not None and self.shelf.has_room(self._need_bytes):
            self._full = None
        self._tell_dropped()
        return False

    def _drop(self, reason: Reason) -> None:
        with self._changed:
            self._dropped[reason] += 1

    def _tell_dropped(self) -> None:
        with self._changed:
            more = self._dropped - self._told
            self._told = self._dropped.copy()
        del more["room"]  # as the settings want it, or told already
        if more:
            log.warning("archive_dropped", records=dict(more))

    def _tell_full(self, words: str) -> None:
        if self._full is None:
            log.warning("archive_full", reason=words)
        self._full = words

    def _failed(self, error: Exception) -> None:
        words = str(error) if isinstance(error, ArchiveError) else f"unexpected {error!r}"
        if self._fault is None:
            log.error("archive_failed", reason=words)
            with self._changed:
                self._failures += 1
        self._fault = words
        self.shelf.close()

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, seconds)

    def _is_done(self) -> bool:
        with self._changed:
            return self._stopping and (not self._waiting or self._fault is not None)


def make_archive(wanted: settings.Archive, clock: Clock) -> Archive | None:
    """None where the settings name no folder; `start` opens it."""
    if wanted.folder is None:
        return None
    return Archive(Shelf(wanted.folder, wanted, clock=clock), wanted, clock=clock)
