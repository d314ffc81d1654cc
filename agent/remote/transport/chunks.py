"""A bundle in pieces through the broker, which this station asks for, a few at a time (`pull.py`)."""

from __future__ import annotations

import queue
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from agent.clock import Clock
from agent.contract.chunks import MAX_CHUNK_BYTES
from agent.contract.inbound import Inbox
from agent.contract.payloads import encode
from agent.remote.transport.pull import Pull
from agent.remote.transport.source import Cancelled, Stopped, Stretch, Unfit

SLICE_S = 0.1
NAME = "the broker"


class ChunkLink(Protocol):
    """The link to the broker, as far as pieces go through it."""

    @property
    def pieces(self) -> Inbox:
        """What came on `bundle/data`."""

    def ask_piece(self, payload: bytes) -> bool:
        """Publish on `bundle/get`, QoS 0; whether there is a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks:
    """The files of the bundle with this digest of its manifest."""

    bundle: str
    link: ChunkLink | None
    clock: Clock

    @property
    def name(self) -> str:
        return NAME

    @contextmanager
    def visit(self, cancelled: Cancelled) -> Iterator[_ChunksVisit]:
        if self.link is None:
            raise Unfit("this station takes no documents from it", 404)
        yield _ChunksVisit(self.bundle, self.link, self.clock, cancelled)


class _ChunksVisit:
    """One file after the other."""

    def __init__(self, bundle: str, link: ChunkLink, clock: Clock, cancelled: Cancelled) -> None:
        self._bundle = bundle
        self._link = link
        self._clock = clock
        self._cancelled = cancelled
        self._count = MAX_CHUNK_BYTES

    def stretch(self, name: str, offset: int, limit: int) -> Stretch:
        pull = Pull(
            bundle=self._bundle,
            file=name,
            given=offset,
            limit=limit,
            count=self._count,
            now_ns=self._clock.monotonic_ns(),
            new_id=lambda: secrets.token_hex(8),
        )
        self._until(pull, lambda: pull.size is not None)
        return Stretch(begins=offset, size=pull.size, pieces=self._pieces(pull))

    def _pieces(self, pull: Pull) -> Iterator[bytes]:
        while pull.size is not None and pull.given < pull.size:
            self._until(pull, lambda: pull.has_next)
            yield pull.next()
        self._count = pull.count

    def _until(self, pull: Pull, done: Callable[[], bool]) -> None:
        """Ask and listen."""
        while not done():
            if self._cancelled():
                raise Stopped("cancelled")
            for request in pull.wanted(self._clock.monotonic_ns()):
                if not self._link.ask_piece(encode(request)):
                    break
            payload = self._heard()
            if payload is not None:
                pull.hear(payload, self._clock.monotonic_ns())

    def _heard(self) -> bytes | None:
        try:
            return self._link.pieces.get(timeout=SLICE_S).payload
        except queue.Empty:
            return None
