"""Which pieces of a file to ask for now, and which answers count: rules alone, time is an argument.

An answer counts when it has the id of a request of ours, which is random, the digest of its bytes, and begins
where was asked. What is lost, late, doubled, out of order or forged costs time only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from agent.contract.chunks import Chunk, ChunkRefusal, ChunkRequest, read_answer
from agent.foreign import shown
from agent.remote.transport.source import Beyond, Lost, Missing, Unfit

WINDOW = 8  # pieces that are on their way or wait for one before them
FIRST_WINDOW = 2
LEAST_BYTES = 4_000  # of a piece
ANSWER_S = 4.0  # after which, nothing having come, a piece is asked for again; twice as long the next time
LONGEST_ANSWER_S = 16.0
BUSY_S = 1.0
SILENCE_S = 30.0
SMALLER_AFTER = 2  # times that nothing came


@dataclass(slots=True)
class _Awaited:
    """A piece that is asked for, again at `again_ns`."""

    end: int
    again_ns: int
    tries: int = 0


class Pull:
    """One file, from `given` on. For one thread."""

    def __init__(
        self,
        *,
        bundle: str,
        file: str,
        given: int,
        limit: int,
        count: int,
        now_ns: int,
        new_id: Callable[[], str],
    ) -> None:
        """`limit` is how many bytes the file may have, `count` how many a piece."""
        self.size: int | None = None  # of the whole file, once it is known
        self.given = given  # bytes up to here have been taken with `next`
        self.count = count
        self._bundle = bundle
        self._file = file
        self._limit = limit
        self._new_id = new_id
        self._ready: dict[int, bytes] = {}
        self._awaited = {given: _Awaited(end=given + count, again_ns=now_ns)}
        self._asked: dict[str, int] = {}  # id of a request to where its piece begins
        self._planned = given + count  # up to here it is ready, or awaited
        self._window = FIRST_WINDOW
        self._unheard = 0  # times in a row
        self._answer_s = ANSWER_S
        self._heard_ns = now_ns

    @property
    def has_next(self) -> bool:
        return self.given in self._ready

    def next(self) -> bytes:
        """The bytes that come next."""
        piece = self._ready.pop(self.given)
        self.given += len(piece)
        return piece

    def wanted(self, now_ns: int) -> list[ChunkRequest]:
        """What to ask for now. Raises Lost when nobody has answered for long."""
        if now_ns - self._heard_ns > SILENCE_S * 1e9:
            raise Lost(f"no answer within {SILENCE_S:.0f} s")
        if self.size is not None:
            while self._planned < self.size and len(self._awaited) + len(self._ready) < self._window:
                end = min(self._planned + self.count, self.size)
                self._awaited[self._planned] = _Awaited(end=end, again_ns=now_ns)
                self._planned = end
        due = [start for start, one in self._awaited.items() if one.again_ns <= now_ns]
        if any(self._awaited[start].tries for start in due):
            self._shrink()
        return [self._request(start, now_ns) for start in due]

    def hear(self, payload: bytes, now_ns: int) -> None:
        """An answer, perhaps to us. Raises Missing, Beyond, Unfit, and Lost for a file that has changed."""
        answer = read_answer(payload)
        if answer is None or (start := self._asked.get(answer[0].request)) is None:
            return
        head, content = answer
        if isinstance(head, ChunkRefusal):
            self._refused(head, start, now_ns)
        elif start not in self._awaited:  # it was asked for twice, and the way is slow
            self._put_off(now_ns)
        elif self._is_right(head, content, start):
            self._unheard = 0
            self._window = min(WINDOW, self._window + 1)
            self._put_off(now_ns)
            self._take(head, content, start, now_ns)

    def _request(self, start: int, now_ns: int) -> ChunkRequest:
        awaited = self._awaited[start]
        awaited.again_ns = now_ns + round(self._answer_s * 1e9)
        awaited.tries += 1
        id_ = self._new_id()
        self._asked[id_] = start
        return ChunkRequest(
            request=id_,
            bundle=self._bundle,
            file=self._file,
            offset=start,
            count=min(self.count, awaited.end - start),
        )

    def _shrink(self) -> None:
        """Pieces may be lost for their number or their size, or the way may be slow."""
        self._answer_s = min(LONGEST_ANSWER_S, 2 * self._answer_s)
        self._window = max(1, self._window // 2)
        self._unheard += 1
        if self._unheard >= SMALLER_AFTER:
            self.count = max(LEAST_BYTES, self.count // 2)

    def _put_off(self, now_ns: int) -> None:
        """As long as pieces come, those behind them may be on their way still."""
        self._heard_ns = now_ns
        for one in self._awaited.values():
            if one.tries:
                one.again_ns = max(one.again_ns, now_ns + round(self._answer_s * 1e9))

    def _is_right(self, head: Chunk, content: bytes, start: int) -> bool:
        ends = start + len(content)
        return (
            (head.bundle, head.file, head.offset) == (self._bundle, self._file, start)
            and ends <= min(head.size_bytes, self._awaited[start].end)
            and (len(content) > 0 or start == head.size_bytes)
            and (head.fin is not None) == (ends == head.size_bytes)
            and hashlib.sha256(content).hexdigest() == head.sha256
        )

    def _take(self, head: Chunk, content: bytes, start: int, now_ns: int) -> None:
        place = shown(self._file)
        if head.size_bytes > self._limit:
            raise Unfit(f"{place}: {head.size_bytes} bytes, and at most {self._limit} may come", 413)
        if self.size not in (None, head.size_bytes):
            raise Lost(f"{place}: changed while it was read")
        awaited = self._awaited.pop(start)
        if self.size is None:
            self.size = head.size_bytes
            self._planned = min(self._planned, self.size)
        ends = start + len(content)
        if content:
            self._ready[start] = content
        if ends < min(awaited.end, self.size):
            self._awaited[ends] = _Awaited(end=min(awaited.end, self.size), again_ns=now_ns)

    def _refused(self, head: ChunkRefusal, start: int, now_ns: int) -> None:
        place, words = shown(self._file), shown(head.message)
        if head.code == 404:
            raise Missing(f"{place}: {words}")
        if head.code == 416:
            raise Beyond(f"{place}: {words}")
        if start in self._awaited:
            self._heard_ns, self._unheard = now_ns, 0
            self._awaited[start].again_ns = now_ns + round(BUSY_S * 1e9)
