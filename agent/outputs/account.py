"""What one output has done since the start, counted, and whether it acts in time. From any thread."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agent.contract.actuation import Action, Cause
from agent.contract.samples import Distribution
from agent.outputs.nouns import Ending

LATELY = 512  # actuations that the page's figures are of
QUIET_S = 60.0  # without a late one, before an output counts as punctual again
ACTIONS: Mapping[Action, tuple[Cause, ...]] = {
    "reject": ("verdict", "no_verdict", "late_verdict", "neighbour"),
    "pass": ("no_verdict", "late_verdict"),
    "missed": ("too_late", "gate", "untracked", "stopped", "late_verdict"),
}
_ANSWER = "the gate answered after the part had gone"
_VERDICT = "verdicts come after the part is at the gate"
TROUBLES: Mapping[Cause, str] = {  # of those that `is_trouble` knows, for people
    "verdict": _ANSWER,
    "neighbour": _ANSWER,
    "no_verdict": _VERDICT,
    "late_verdict": _VERDICT,
    "too_late": "parts had passed the gate when they were known of",
    "gate": "the gate did not answer before parts had gone",
    "untracked": "where parts are is not known, and their actuations say why",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A time in which an output does not act as it should."""

    began_ns: int
    newest_ns: int
    causes: Mapping[Cause, int]


def is_trouble(ending: Ending) -> bool:
    """Whether somebody has to know: late, without its verdict, or not done. A stop is told by itself."""
    if ending.cause == "stopped":
        return False
    return ending.is_late or ending.action == "missed" or ending.cause == "no_verdict"


def gone_on(episode: Episode | None, cause: Cause, now_ns: int) -> Episode:
    """With one trouble more."""
    if episode is None:
        return Episode(began_ns=now_ns, newest_ns=now_ns, causes={cause: 1})
    causes = {**episode.causes, cause: episode.causes.get(cause, 0) + 1}
    return replace(episode, newest_ns=now_ns, causes=causes)


def is_over(episode: Episode, now_ns: int) -> bool:
    """Whether nothing more came of it for long enough."""
    return now_ns - episode.newest_ns >= QUIET_S * 1e9


def lateness_ms(ending: Ending) -> float | None:
    """From the part's being at the gate to the gate's answer; None where it was not moved for it."""
    if ending.acted_ns is None or ending.due_ns is None:
        return None
    return round((ending.acted_ns - ending.due_ns) / 1e6, 3)


@dataclass(slots=True)
class Account:
    """Of one output."""

    name: str
    camera: str
    episode: Episode | None = None
    trouble: str | None = None  # of its gate
    sequence: int = 0  # of its actuations
    _counts: Counter[tuple[Action, Cause]] = field(default_factory=Counter)
    _lateness_s: Distribution = field(default_factory=Distribution)
    _lately_ms: deque[float] = field(default_factory=lambda: deque(maxlen=LATELY))
    _worst_ms: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, ending: Ending) -> None:
        """Count one."""
        late_ms = lateness_ms(ending)
        with self._lock:
            self._counts[ending.action, ending.cause] += 1
            if late_ms is None or ending.cause == "late_verdict":  # of which that was counted before
                return
            self._lateness_s = self._lateness_s.with_value(late_ms / 1000)
            self._lately_ms.append(late_ms)
            self._worst_ms = late_ms if self._worst_ms is None else max(self._worst_ms, late_ms)

    def miss(self) -> None:
        """Count a part that nobody could place."""
        with self._lock:
            self._counts["missed", "untracked"] += 1

    def counts(self) -> Mapping[tuple[Action, Cause], int]:
        """All there can be, also those that are 0."""
        with self._lock:
            return {
                (action, cause): self._counts[action, cause]
                for action in ACTIONS
                for cause in ACTIONS[action]
            }

    def lateness(self) -> Distribution:
        """In seconds."""
        with self._lock:
            return self._lateness_s

    def words(self) -> tuple[str, ...]:
        """What stands against the output."""
        said = []
        if self.trouble is not None:
            said.append(f"Output {self.name}: {self.trouble}")
        if (episode := self.episode) is not None:
            causes = dict.fromkeys(TROUBLES[cause] for cause in episode.causes)
            said.append(f"Output {self.name} does not act on every part in time: {'; '.join(causes)}")
        return tuple(said)

    def view(self) -> dict[str, Any]:
        """For the page; lateness of the last LATELY actuations, in ms."""
        with self._lock:
            ordered = sorted(self._lately_ms)
            counts = {f"{action}/{cause}": count for (action, cause), count in self._counts.items() if count}
            worst_ms = self._worst_ms
        return {
            "name": self.name,
            "camera": self.camera,
            "trouble": self.trouble,
            "is_late": self.episode is not None,
            "counts": counts,
            "lateness_ms": {
                "count": len(ordered),
                "p50": ordered[(len(ordered) - 1) // 2] if ordered else None,
                "p99": ordered[-(-len(ordered) * 99 // 100) - 1] if ordered else None,
                "worst": worst_ms,
            },
        }
