"""The last 24 hours by the minute, and where their defects were: what trends and shifts are made of.

It listens to records and outlives the agent in a file, which is written now and then: a power cut costs some
minutes of what is shown, and no record.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from agent import durable
from agent.clock import Clock
from agent.contract.verdict import Verdict
from agent.line.publish import Recorded
from agent.messages import VerdictName
from agent.settings import bounded

MINUTE_S = 60
DAY_MINUTES = 24 * 60
DEFECTS = 5000  # the last ones
SAVE_EVERY_S = 300.0
MAX_FILE_BYTES = 16_000_000
VERDICTS: tuple[VerdictName, ...] = ("pass", "fail", "undecided", "skipped")

log = structlog.get_logger(__name__)


class Minute(NamedTuple):
    """What one camera's line decided within it."""

    at: int  # since 1970
    counts: tuple[int, int, int, int]  # by VERDICTS
    scored: int
    score_sum: float  # normalised; 100 is the threshold
    score_max: float


class Defect(NamedTuple):
    """One that was seen; x and y are its middle as a share of the picture."""

    at_s: float
    camera: str
    x: float
    y: float
    area_px: int
    area_mm2: float | None
    label: str | None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    minutes: dict[str, list[Minute]]
    defects: list[Defect]


class Day:
    """Safe from any thread."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._minutes: dict[str, deque[Minute]] = {}
        self._defects: deque[Defect] = deque(maxlen=DEFECTS)
        self._saved_ns = clock.monotonic_ns()

    def open(self) -> None:
        """Go on with what an earlier run kept; what cannot be read is begun anew."""
        try:
            kept = _File.model_validate_json(bounded.read(self._path, max_bytes=MAX_FILE_BYTES))
        except bounded.UnreadableError as error:
            if self._path.exists():
                log.warning("day_not_read", detail=str(error))
            return
        except ValidationError:
            log.warning("day_not_read", detail=f"{self._path}: is not what this version writes; begun anew")
            return
        self.fill(kept.minutes, kept.defects)

    def fill(self, minutes: Mapping[str, Iterable[Minute]], defects: Iterable[Defect]) -> None:
        """With what was seen before, oldest first."""
        with self._lock:
            self._minutes.update({name: deque(some, DAY_MINUTES) for name, some in minutes.items()})
            self._defects.extend(defects)

    def recorded(self, told: Recorded) -> None:
        """A record is durable."""
        shape = (told.verdict.frame.lines, 0) if told.picture is None else told.picture.shape
        self.saw(told.verdict, width=shape[1], height=shape[0])

    def saw(self, verdict: Verdict, *, width: int, height: int) -> None:
        now_s = self._clock.utc_now().timestamp()
        score = None if verdict.score is None else verdict.score.normalized
        with self._lock:
            minutes = self._minutes.setdefault(verdict.camera, deque(maxlen=DAY_MINUTES))
            at = int(now_s // MINUTE_S)
            if not minutes or minutes[-1].at < at:
                minutes.append(Minute(at, (0, 0, 0, 0), 0, 0.0, 0.0))
            last = minutes[-1]  # also after the clock was set back
            good, bad, unknown, dropped = (
                count + (name == verdict.verdict) for name, count in zip(VERDICTS, last.counts, strict=True)
            )
            minutes[-1] = last._replace(counts=(good, bad, unknown, dropped))
            if score is not None:
                minutes[-1] = minutes[-1]._replace(
                    scored=last.scored + 1,
                    score_sum=last.score_sum + score,
                    score_max=max(last.score_max, score),
                )
            for one in verdict.defects:
                x, y, w, h = one.bbox_px
                self._defects.append(
                    Defect(
                        at_s=now_s,
                        camera=verdict.camera,
                        x=(x + w / 2) / width if width else 0.5,
                        y=(y + h / 2) / height if height else 0.5,
                        area_px=one.area_px,
                        area_mm2=one.area_mm2,
                        label=one.label,
                    )
                )

    def minutes(self, since: datetime) -> Mapping[str, list[Minute]]:
        """By camera, oldest first."""
        first = int(since.timestamp() // MINUTE_S)
        with self._lock:
            return {name: [one for one in some if one.at >= first] for name, some in self._minutes.items()}

    def counts(self, since: datetime) -> dict[VerdictName, int]:
        """Of all cameras."""
        return total(one for some in self.minutes(since).values() for one in some)

    def first(self) -> int | None:
        """The earliest minute that is known."""
        with self._lock:
            return min((some[0].at for some in self._minutes.values() if some), default=None)

    def defects(self, since: datetime) -> list[Defect]:
        with self._lock:
            return [one for one in self._defects if one.at_s >= since.timestamp()]

    def watch(self) -> None:
        """To be called about once a second."""
        if self._clock.monotonic_ns() - self._saved_ns >= SAVE_EVERY_S * 1e9:
            self.save()

    def save(self) -> None:
        """A disk that takes nothing is told of elsewhere; this is tried again."""
        self._saved_ns = self._clock.monotonic_ns()
        with self._lock:
            kept = _File(
                minutes={name: list(some) for name, some in self._minutes.items()},
                defects=list(self._defects),
            )
        try:
            durable.replace_file(self._path, [kept.model_dump_json().encode()])
        except OSError as error:
            log.warning("day_not_kept", detail=f"{self._path}: {error.strerror}; trends end with the agent")


def total(minutes: Iterable[Minute]) -> dict[VerdictName, int]:
    """Of several minutes."""
    found: Counter[VerdictName] = Counter()
    for one in minutes:
        found.update(dict(zip(VERDICTS, one.counts, strict=True)))
    return {name: found[name] for name in VERDICTS}
