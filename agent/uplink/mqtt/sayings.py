"""What is to be said about commands, in its order: answers, and acknowledgements behind them."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TypeAlias

from agent.contract.inbound import Inbound

WAITING = 1024
WAITING_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer to a command, on the topic that was asked for."""

    topic: str
    payload: bytes
    correlation_data: bytes | None


Saying: TypeAlias = Answer | Inbound  # an Inbound is to be acknowledged after all that stands before it


class Sayings:
    """Answers are bounded in number and bytes; safe from any thread."""

    def __init__(self) -> None:
        self._waiting: deque[Saying] = deque()
        self._lock = threading.Lock()
        self._answers = 0
        self._bytes = 0
        self._lost = 0

    @property
    def lost(self) -> int:
        """Answers that nobody has got, since the start."""
        return self._lost

    def lose(self) -> None:
        """Count an answer that could not be sent, or that the broker did not take."""
        with self._lock:
            self._lost += 1

    def offer(self, answer: Answer, *, hurried: bool = True) -> bool:
        """Whether there was room; what is not `hurried` leaves half of it to the others."""
        size, share = _size_bytes(answer), 1 if hurried else 2
        with self._lock:
            if self._answers >= WAITING // share or self._bytes + size > WAITING_BYTES // share:
                return False
            self._answers += 1
            self._bytes += size
            self._waiting.append(answer)
        return True

    def acknowledge(self, inbound: Inbound) -> None:
        """Have it acknowledged after all that was offered before; beyond a bound it comes again."""
        only_its_token = replace(inbound, topic="", payload=b"", response_topic=None, correlation_data=None)
        with self._lock:
            if len(self._waiting) < 4 * WAITING:
                self._waiting.append(only_its_token)

    def next(self) -> Saying | None:
        with self._lock:
            if not self._waiting:
                return None
            one = self._waiting.popleft()
            if isinstance(one, Answer):
                self._answers -= 1
                self._bytes -= _size_bytes(one)
            return one

    def waiting(self) -> bool:
        return bool(self._waiting)

    def end_connection(self) -> None:
        """Answers wait for the next one; what was to be acknowledged comes again there."""
        with self._lock:
            self._waiting = deque(one for one in self._waiting if isinstance(one, Answer))


def _size_bytes(answer: Answer) -> int:
    return len(answer.payload) + len(answer.correlation_data or b"") + 4 * len(answer.topic)
