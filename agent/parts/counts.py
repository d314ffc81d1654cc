"""How many parts were decided since the start, how, and how soon after their last view; for any thread."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pydantic import JsonValue

from agent.contract.part import PART_REASONS, PART_VERDICTS, PartVerdict
from agent.contract.samples import Distribution, Sample
from agent.parts.view import Rule


class PartCounts:
    """Series of every rule exist from the start, so that rates have a beginning."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._lock = threading.Lock()
        self._verdicts = Counter({(rule.name, one): 0 for rule in rules for one in PART_VERDICTS})
        self._reasons = Counter({(rule.name, one): 0 for rule in rules for one in PART_REASONS})
        self._seconds = {rule.name: Distribution() for rule in rules}
        self._open = {rule.name: 0 for rule in rules}
        self._lost = 0
        self._latest: dict[str, PartVerdict] = {}
        self._whole_ns: dict[int, int] = {}  # of whole parts on their way: when the last view was committed

    def decided(self, part: PartVerdict, last_view_ns: int | None) -> None:
        """It is kept, with its number; `last_view_ns`: when its last view was committed, None: not known."""
        with self._lock:
            self._verdicts[part.rule, part.verdict] += 1
            if part.reason is not None:
                self._reasons[part.rule, part.reason] += 1
            if last_view_ns is not None and not part.missing:
                self._whole_ns[part.sequence] = last_view_ns

    def committed(self, part: PartVerdict, now_ns: int) -> None:
        """The outbox has it."""
        with self._lock:
            since_ns = self._whole_ns.pop(part.sequence, None)
            if since_ns is not None:
                seconds = max(0, now_ns - since_ns) / 1e9
                self._seconds[part.rule] = self._seconds[part.rule].with_value(seconds)
            self._latest[part.rule] = part

    def open(self, groups: Mapping[str, int]) -> None:
        """Parts by rule that wait for views."""
        with self._lock:
            self._open.update(groups)

    def lost(self, views: int) -> None:
        """Verdicts that could not be looked at."""
        with self._lock:
            self._lost += views

    def samples(self) -> Iterable[Sample]:
        with self._lock:
            return [
                *(Sample("parts", count, labels) for labels, count in self._verdicts.items()),
                *(Sample("parts_undecided", count, labels) for labels, count in self._reasons.items()),
                *(Sample("part_seconds", one, (rule,)) for rule, one in self._seconds.items()),
                *(Sample("parts_open", count, (rule,)) for rule, count in self._open.items()),
                Sample("part_views_lost", self._lost),
            ]

    def shown(self) -> list[dict[str, JsonValue]]:
        """Each rule for the page: what was counted, and its last part."""
        with self._lock:
            return [
                {
                    "rule": rule.name,
                    "by": rule.by,
                    "cameras": list(rule.cameras),
                    "open": self._open[rule.name],
                    "counts": {one: self._verdicts[rule.name, one] for one in PART_VERDICTS},
                    "last": None
                    if (last := self._latest.get(rule.name)) is None
                    else last.model_dump(mode="json", by_alias=True),
                }
                for rule in self._rules
            ]
