"""A bundle that a signed instruction names, from the first of its sources that has it.

A source that is away is asked again, with a growing wait, for as long as it takes; one that has something
else, or more than was announced, is not. When none is left, or the disk is full, it has failed. A deadline
follows from the size, and counts only the time in which bytes come.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from agent.backoff import SLICE_S, backoff_s
from agent.bundle.bundle import Bundle
from agent.clock import Clock
from agent.contract import desired
from agent.remote.rollout.depot import Depot
from agent.remote.transport.chunks import ChunkLink, Chunks
from agent.remote.transport.folder import Folder
from agent.remote.transport.https import Https
from agent.remote.transport.paced import LEAST_BYTES, WINDOW_S
from agent.remote.transport.source import Cancelled, Lost, Source, Stopped, Unfit
from agent.remote.transport.taking import NotFetched, Taking, Terms
from agent.settings.remote import Download

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
TELL_S = 0.5
GRACE_S = 3600.0  # beside the time that all bytes take at the slowest that a server may be
TIMES_OVER = 8  # as many bytes as announced, from one source, before it is seen to lead nowhere

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an instruction wants; `base` is the folder that it came in, where it came in one."""

    target: desired.Target
    sources: tuple[desired.Source, ...]
    base: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far it is. `trouble` is why no bytes come, None while they do."""

    bytes_done: Mapping[str, int]  # of each file, on the disk
    size_bytes: int  # of all of them, as announced
    linked_s: float  # how long bytes have come, in this call
    trouble: str | None


def deadline_s(size_bytes: int) -> float:
    """Seconds in which so many bytes have to come, waits for sources that are away left out."""
    return GRACE_S + size_bytes * WINDOW_S / LEAST_BYTES


class Fetch(Protocol):
    """Have the candidate of the depot be the bundle of an order."""

    def __call__(
        self,
        order: Order,
        *,
        progress: Callable[[Progress], None],
        cancelled: Cancelled,
        time_left_s: float,
    ) -> None:
        """Every file of the candidate has the manifest's digest when this returns, and is on the disk.

        The caller holds the depot. What is there already is gone on with, after a crash, too; what an ended
        transaction left is not taken for it. `time_left_s` bounds the time in which bytes come. Raises
        NotFetched, DepotError (both with a `code`), and Stopped once `cancelled` says so.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How this station reaches sources."""

    https: Download
    chunks: ChunkLink | None  # None: it hears no documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """Fetches into one depot; `trusted` is asked before anything but manifest and signature is taken."""

    depot: Depot
    ways: Ways
    trusted: Callable[[Bundle], None]
    kept_free: int
    clock: Clock
    rng: random.Random

    def __call__(
        self,
        order: Order,
        *,
        progress: Callable[[Progress], None],
        cancelled: Cancelled,
        time_left_s: float,
    ) -> None:
        sources = [self._source(one, order) for one in order.sources]
        if not sources:
            raise NotFetched("the instruction names no source, and the bundle is not here", 404)
        watch = _Watch(self.clock, order.target.size_bytes, progress, cancelled, time_left_s)
        terms = Terms(target=order.target, trusted=self.trusted, kept_free=self.kept_free)
        taking = Taking(self.depot, terms, watch.hear)
        watch.start()
        if taking.begin():
            watch.tell()
            return
        candidates = [_Candidate(source=one) for one in sources]
        attempt = 0
        while True:
            before = taking.received
            for one in candidates:
                if one.unfit is None and self._has_given(one, taking, watch):
                    return
            if all(one.unfit is not None for one in candidates):
                raise _none_is_left(candidates)
            attempt = 0 if taking.received > before else attempt + 1
            pause_s = backoff_s(attempt, self.rng, first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_S)
            watch.wait(max(pause_s, *(one.wait_s for one in candidates if one.unfit is None)))

    def _has_given(self, one: _Candidate, taking: Taking, watch: _Watch) -> bool:
        """Whether all is there, after one visit."""
        had = taking.received
        watch.start()
        try:
            with one.source.visit(watch.cancelled) as visit:
                taking.take(visit)
            watch.tell()
            return True
        except Unfit as error:
            one.unfit = error
        except Lost as error:
            one.given += taking.received - had
            one.wait_s = error.wait_s
            if one.given > TIMES_OVER * watch.size_bytes:
                one.unfit = Unfit(f"gave {one.given} bytes in vain; {error}", 422)
            if taking.received > had:
                watch.count()
            if str(error) != one.told:
                log.warning("bundle_source_lost", source=one.source.name, reason=str(error))
                one.told = str(error)
            watch.stand(f"{one.source.name}: {error}")
        if one.unfit is not None:
            log.warning("bundle_source_unfit", source=one.source.name, reason=str(one.unfit))
        return False

    def _source(self, source: desired.Source, order: Order) -> Source:
        match source:
            case desired.HttpsSource(url=url):
                return Https(url, self.ways.https, self.clock)
            case desired.FolderSource(path=path):
                return Folder(path=Path(path), base=order.base)
            case desired.MqttSource():
                return Chunks(bundle=order.target.sha256, link=self.ways.chunks, clock=self.clock)


@dataclass(slots=True, kw_only=True)
class _Candidate:
    """A source, and how it has done."""

    source: Source
    unfit: Unfit | None = None  # not asked again
    given: int = 0  # bytes, in visits that it was lost in
    wait_s: float = 0.0  # that it asked for when it was asked last
    told: str = ""  # of it, to the log


def _none_is_left(candidates: Sequence[_Candidate]) -> NotFetched:
    """With the code of the one that was to be asked first."""
    words = "; ".join(f"{one.source.name}: {one.unfit}" for one in candidates)
    first = candidates[0].unfit
    return NotFetched(words, 404 if first is None else first.code)


@dataclass(slots=True)
class _Watch:
    """Progress, the deadline and the wish to stop, at every piece and in every wait."""

    clock: Clock
    size_bytes: int
    progress: Callable[[Progress], None]
    cancelled: Cancelled
    time_left_s: float
    _done: Mapping[str, int] = field(default_factory=dict)
    _trouble: str | None = None
    _linked_s: float = 0.0
    _last_ns: int = 0  # of the last piece, or since when one is awaited
    _told_ns: int = 0

    def start(self) -> None:
        self._last_ns = self.clock.monotonic_ns()
        self._heed()

    def hear(self, done: Mapping[str, int]) -> None:
        """More bytes are on the disk. Raises NotFetched at the deadline, and Stopped."""
        self._done, self._trouble = done, None
        self.count()
        if self._last_ns - self._told_ns > TELL_S * 1e9:
            self.tell()
        self._heed()

    def count(self) -> None:
        """There was a link until now. Raises NotFetched at the deadline."""
        now_ns = self.clock.monotonic_ns()
        self._linked_s += (now_ns - self._last_ns) / 1e9
        self._last_ns = now_ns
        if self._linked_s > self.time_left_s:
            found = sum(self._done.values())
            raise NotFetched(f"not all of it came in time: {found} bytes in {self._linked_s:.0f} s", 408)

    def stand(self, trouble: str) -> None:
        self._trouble = trouble
        self.tell()

    def tell(self) -> None:
        self._told_ns = self.clock.monotonic_ns()
        self.progress(
            Progress(
                bytes_done=dict(self._done),
                size_bytes=self.size_bytes,
                linked_s=self._linked_s,
                trouble=self._trouble,
            )
        )

    def wait(self, delay_s: float) -> None:
        end_ns = self.clock.monotonic_ns() + round(delay_s * 1e9)
        self._heed()
        while (rest_ns := end_ns - self.clock.monotonic_ns()) > 0:
            self.clock.sleep(min(rest_ns / 1e9, SLICE_S))
            self._heed()

    def _heed(self) -> None:
        if self.cancelled():
            raise Stopped("cancelled")
