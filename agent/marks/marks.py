"""Marks of a running station: taken from whoever asks, and followed up by a thread of their own.

What is taken is durable before it is answered. The thread then has the archive hold on to the picture and the
outbox take the mark for the broker. What a crash or a full disk cut off is done at the next chance; a mark
that the outbox has already is not given to it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from datetime import datetime
from typing import Protocol

import structlog
from pydantic import ValidationError

from agent.archive import bounds
from agent.archive.entry import EntryError
from agent.archive.faults import ArchiveError
from agent.archive.record import Mark as ArchiveMark
from agent.archive.shelf import Shelf
from agent.clock import Clock, rfc3339
from agent.contract.commands import NotDoneError
from agent.contract.judging import MarkResult
from agent.contract.mark import Mark, Way, mark_row
from agent.contract.row import Changed, Row, Waiting
from agent.contract.topics import Topics
from agent.contract.verdict import Verdict
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.marks.decide import Made, Marked, Result, decide, of_mark, of_verdict, says_the_same, word_of
from agent.marks.file import MarkFile
from agent.marks.read import place
from agent.settings.settings import Settings

AT_ONCE = 64
AGAIN_S = 5.0
LOOK_S = 0.25  # at whether to stop
COMING_S = 60.0  # so long an entry may take to come into the archive behind its verdict
MAY_FAIL = 3  # entries in one round, before the folder itself is taken for what fails
LONGEST_WHO = 100  # in the archive's entry

log = structlog.get_logger(__name__)


class Rows(Protocol):
    """The outbox. Each raises OutboxError."""

    def find(self, id_: str) -> Waiting | Changed | None: ...

    def append(self, rows: Sequence[Row]) -> Future[None]: ...


class Marks:
    """`mark` is safe from any thread."""

    def __init__(
        self,
        file: MarkFile,
        *,
        outbox: Rows,
        topics: Topics,
        shelf: Shelf | None,
        wanted: Callable[[Verdict], bool],
        boot_id: str,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        """`wanted`: whether the archive keeps a record's frame."""
        self.file = file
        self._outbox = outbox
        self._topics = topics
        self._shelf = shelf
        self._wanted = wanted
        self._boot_id = boot_id
        self._clock = clock
        self._new_id = new_id
        self._taking = threading.Lock()  # what was said before must not change while it is decided
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="marks", daemon=True)
        self._missing_since: dict[int, int] = {}  # marks whose entry is not there yet, by number
        self._held_up_to = 0
        self._fault: str | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What has still to follow is followed up at the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self.file.close()

    def words(self) -> tuple[str, ...]:
        """What stands against it, in one sentence; empty when all is well."""
        fault = self._fault
        return () if fault is None else (f"Marks: {fault}",)

    def mark(self, asked: MarkResult, who: str, way: Way) -> Marked:
        """Take what somebody says of a result; durable on return.

        Raises NotDoneError for a result that is unknown here or was not looked at, MarksError for the file.
        """
        with self._taking:
            was = self.file.last_of(asked.result_id)
            result, is_kept = self._result(asked.result_id, was)
            made = Made(
                mark_id=self._new_id(),
                boot_id=self._boot_id,
                station=self._topics.station,
                created=rfc3339(self._clock.utc_now()),
                who=who,
                way=way,
                picture="kept" if is_kept else "gone",
            )
            mark = decide(asked, result, made)
            if was is None and mark.says == "taken_back":
                raise NotDoneError("not_found", "nothing was said of this result, so nothing is taken back")
            if was is not None and says_the_same(was, mark):
                return Marked(mark=was, was=was)
            kept = self.file.add(mark)
        self._wake.set()
        log.info(
            "marked", result_id=kept.result_id, says=kept.says, label=kept.label, who=shown(who), way=way
        )
        return Marked(mark=kept, was=was)

    def _result(self, result_id: str, was: Mark | None) -> tuple[Result, bool]:
        """The verdict from wherever it still is, and whether its picture is kept. Raises NotDoneError."""
        kept = self._from_archive(result_id)
        if kept is not None:
            return of_verdict(kept), True
        found = self._outbox.find(result_id)
        if isinstance(found, Waiting) and found.row.kind == "verdict":
            with suppress(ValidationError):  # of another version
                verdict = Verdict.model_validate_json(found.row.payload)
                return of_verdict(verdict), self._is_coming(verdict)
        if was is not None:
            return of_mark(was), False
        raise NotDoneError(
            "not_found",
            f"{shown(result_id)}: this station does not know that result; neither its archive nor its outbox "
            "has it (any more), so what would be marked cannot be told",
        )

    def _from_archive(self, result_id: str) -> Verdict | None:
        """None also for an entry that is damaged, or while the archive is closed: health says why."""
        if self._shelf is None or not self._shelf.is_open:
            return None
        try:
            return self._shelf.verdict(result_id)
        except (ArchiveError, EntryError):
            return None

    def _is_coming(self, verdict: Verdict) -> bool:
        """Whether its picture may be on its way into the archive."""
        age = self._clock.utc_now() - datetime.fromisoformat(verdict.created.replace("Z", "+00:00"))
        return self._shelf is not None and self._wanted(verdict) and age.total_seconds() < COMING_S

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                goes_on = self.follow()
                self._fault = None
            except PlumblineError as error:
                if self._fault is None:
                    log.error("marks_failed", reason=str(error))
                self._fault, goes_on = str(error), False
            if not goes_on:
                self._wake.wait(AGAIN_S)

    def follow(self) -> bool:
        """Some of what has still to follow; whether there is more. For one thread at a time.

        Raises MarksError, ArchiveError and OutboxError; what was done stays done.
        """
        told = self._tell()
        return self._hold() or told

    def _tell(self) -> bool:
        marks = self.file.due("told", after=0, limit=AT_ONCE)
        rows = [mark_row(self._topics, one) for one in marks if self._outbox.find(one.mark_id) is None]
        if rows and not self._is_committed(self._outbox.append(rows)):
            return False
        self.file.done("told", [one.sequence for one in marks])
        return len(marks) == AT_ONCE

    def _is_committed(self, appended: Future[None]) -> bool:
        """Whether it was before the stop: a full disk is waited for. Raises OutboxError."""
        while not self._stopping.is_set():
            if appended.done() or wait([appended], LOOK_S).done:
                appended.result()
                return True
        return False

    def _hold(self) -> bool:
        shelf = self._shelf
        if shelf is not None and not shelf.is_open:
            return False
        marks = self.file.due("held", after=self._held_up_to, limit=AT_ONCE)
        failed: ArchiveError | None = None
        done, failures = [], 0
        for mark in marks:
            self._held_up_to = mark.sequence
            try:
                if shelf is None or self._is_held(shelf, mark):
                    done.append(mark.sequence)
            except ArchiveError as error:
                failed, failures = error, failures + 1
                if failures == MAY_FAIL:
                    break
        self.file.done("held", done)
        if len(marks) < AT_ONCE:
            self._held_up_to = 0  # those that are still due come again
        if failed is not None:
            raise failed
        return len(marks) == AT_ONCE

    def _is_held(self, shelf: Shelf, mark: Mark) -> bool:
        """Whether nothing is left to do: the entry says it, or there is none. Raises ArchiveError."""
        if shelf.get(mark.result_id) is None:
            now_ns = self._clock.monotonic_ns()
            since_ns = self._missing_since.setdefault(mark.sequence, now_ns)
            if mark.picture == "kept" and now_ns - since_ns < COMING_S * 1e9:
                return False
        else:
            shelf.mark(mark.result_id, _entry_mark(mark))
        self._missing_since.pop(mark.sequence, None)
        return True


def _entry_mark(mark: Mark) -> ArchiveMark | None:
    word = word_of(mark)
    if word is None:
        return None
    return ArchiveMark(
        word=word, by=mark.who[:LONGEST_WHO], at=datetime.fromisoformat(mark.created.replace("Z", "+00:00"))
    )


def make_marks(
    wanted: Settings,
    outbox: Rows,
    topics: Topics,
    shelf: Shelf | None,
    *,
    boot_id: str,
    clock: Clock,
    new_id: Callable[[], str],
) -> Marks:
    """Of a station whose outbox is open."""
    return Marks(
        MarkFile(place(wanted.outbox.path)),
        outbox=outbox,
        topics=topics,
        shelf=shelf,
        wanted=lambda verdict: bounds.wanted(verdict, wanted.archive),
        boot_id=boot_id,
        clock=clock,
        new_id=new_id,
    )
