"""Who is signed in: random tokens, kept as digests in memory; a restart signs everybody out."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

LIFE_S = 12 * 3600.0
IDLE_S = 1800.0  # without one request; an open page asks all the time
OPEN_AT_ONCE = 200


@dataclass(slots=True, kw_only=True)
class Session:
    name: str
    proof: str  # what stands in the account for its password; another one ends the session
    since_s: float
    seen_s: float


class Sessions:
    """Safe from any thread; `now_s` is a monotonic clock."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Session] = OrderedDict()

    def begin(self, name: str, proof: str) -> str:
        """A token that nobody had before."""
        token, now_s = secrets.token_urlsafe(32), self._now_s()
        with self._lock:
            self._open[_digest(token)] = Session(name=name, proof=proof, since_s=now_s, seen_s=now_s)
            while len(self._open) > OPEN_AT_ONCE:
                self._open.popitem(last=False)
        return token

    def of(self, token: str) -> Session | None:
        """Of a token that is good still."""
        digest, now_s = _digest(token), self._now_s()
        with self._lock:
            found = self._open.get(digest)
            if found is None:
                return None
            if now_s - found.since_s > LIFE_S or now_s - found.seen_s > IDLE_S:
                del self._open[digest]
                return None
            found.seen_s = now_s
            return found

    def end(self, token: str) -> None:
        with self._lock:
            self._open.pop(_digest(token), None)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
