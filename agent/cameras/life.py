"""The rules of one camera's life, without any I/O: when to open it, when to give it up, what to count.

- A camera that cannot be opened, or is lost, is opened again for ever, after pauses that double up to
  1.5 s: short enough to be back within 3 s of its return, long enough to leave a network in peace.
- A mistake in the settings is tried again too, for a file may come late, but only every 10 s.
- A camera is given up when it is silent for longer than max(1 s, 3 periods), the period being the longest
  of its last gaps; when its first frame takes longer; when opening takes too long; or when `grab` hangs.
- Each open that succeeds is an epoch: 0, 1, 2, ...
- After a loss `streaming` is said again only once a frame is there (where silence is normal: once it is
  open), so that a camera which opens and stays dark does not look well in between.
"""

from __future__ import annotations

import math
import random
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent.backoff import backoff_s

CameraState: TypeAlias = Literal["closed", "opening", "streaming", "stalled", "lost", "finished", "disabled"]
Step: TypeAlias = Literal["open", "abandon"]
OpenFailure: TypeAlias = Literal["absent", "in_use", "settings"]
OPEN_FAILURES: tuple[OpenFailure, ...] = ("absent", "in_use", "settings")

HANG_S = 10.0  # `grab` keeps a timeout of half a second; far beyond it the driver hangs
SHORTEST_SILENCE_S = 1.0
PERIODS = 3.0
GAPS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds that one camera may take; `silence_s` None is learned, infinite where silence is normal."""

    open_s: float = 30.0
    first_frame_s: float = 5.0  # a video stream begins at its next key frame
    silence_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """Seconds before another open."""

    first_s: float = 0.5
    longest_s: float = 1.5
    mistake_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What people are told of a camera."""

    state: CameraState
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What happened to one camera since the agent's start."""

    streaming: bool
    epoch: int
    frames: int
    reconnects: int
    stalls: int
    losses: int
    lines_dropped: int  # seen again, or while the belt stood or turned
    open_failures: Mapping[OpenFailure, int]
    driver: Mapping[str, int]  # what the cameras' own `stats` said, over all epochs
    lines_unseen: int = 0  # lost where no record tells of them: between parts
    late: int = 0  # triggers of a connection that had been given up; nobody judges them
    faults: int = 0  # triggers without a judgeable picture, among `frames`
    faults_in_a_row: int = 0  # since the last picture
    last_fault: str = ""  # its detail; empty once there is a picture again


class Life:
    """One camera; every moment is an argument, in nanoseconds of the monotonic clock."""

    def __init__(self, patience: Patience, rng: random.Random, pauses: Pauses | None = None) -> None:
        self.told = Told(state="closed")
        self.epoch = -1
        self.frames = 0
        self.stalls = 0
        self.losses = 0
        self.open_failures: Counter[OpenFailure] = Counter()
        self._patience = patience
        self._pauses = pauses or Pauses()
        self._rng = rng
        self._phase: Literal["waiting", "opening", "open", "over", "disabled"] = "waiting"
        self._since_ns: int | None = None  # of the phase; of waiting: its end; None: open at once
        self._failures = 0  # since the last frame
        self._heard_ns = 0  # when the camera was last free to speak
        self._breath_ns = 0  # when `grab` last came back
        self._frame_ns: int | None = None  # None: no frame in this epoch
        self._gaps_ns: deque[int] = deque(maxlen=GAPS)

    @property
    def reconnects(self) -> int:
        return max(self.epoch, 0)

    @property
    def is_over(self) -> bool:
        return self._phase == "over"

    def look(self, now_ns: int) -> Step | None:
        """What has to be done now, if anything; it is taken as done. Nobody wants it closed any more."""
        if self._phase == "disabled":
            self._phase, self._since_ns, self._failures = "waiting", None, 0
            self.told = Told(state="closed")
        if self._phase == "waiting" and (self._since_ns is None or now_ns >= self._since_ns):
            self._enter("opening", now_ns)
            if self.told.state == "closed":
                self.told = Told(state="opening")
            return "open"
        if self._phase == "opening" and _seconds(now_ns, self._since_ns) > self._patience.open_s:
            self.open_failures["absent"] += 1
            self._give_up(now_ns, "lost", f"did not open within {self._patience.open_s:g} s")
            return "abandon"
        if self._phase == "open" and (why := self._silence(now_ns)):
            self.stalls += 1
            self._give_up(now_ns, "stalled", f"{why}; check the camera, its trigger and its cable")
            return "abandon"
        return None

    def opened(self, now_ns: int) -> None:
        self.epoch += 1
        self._enter("open", now_ns)
        self._heard_ns = self._breath_ns = now_ns
        self._frame_ns = None
        if (self.epoch == 0 and self.told.state == "opening") or self._silence_is_normal:
            self.told = Told(state="streaming")

    def received(self, now_ns: int) -> None:
        """A trigger came from the camera; `free` follows when it was passed on."""
        self.frames += 1
        if self._frame_ns is not None:
            self._gaps_ns.append(now_ns - self._frame_ns)
        self._frame_ns = now_ns
        self._failures = 0
        if self.told.state != "streaming":
            self.told = Told(state="streaming")

    def free(self, now_ns: int) -> None:
        """The camera can be listened to again: silence counts from here, not from a line that was busy."""
        self._heard_ns = self._breath_ns = now_ns

    def quiet(self, now_ns: int) -> None:
        """`grab` came back without a trigger."""
        self._breath_ns = now_ns

    def failed(self, now_ns: int, why: OpenFailure, words: str) -> None:
        """The camera could not be opened, or was lost."""
        if self._phase == "opening":
            self.open_failures[why] += 1
        else:
            self.losses += 1
        self._give_up(now_ns, "lost", words, self._pauses.mistake_s if why == "settings" else None)

    def blocked(self, now_ns: int, words: str) -> None:
        """The open that `look` asked for could not be tried."""
        self._give_up(now_ns, "lost", words)

    def disabled(self, words: str) -> None:
        """People want it closed, until `look` is asked again."""
        self._phase = "disabled"
        self.told = Told(state="disabled", detail=words)

    def anew(self, patience: Patience) -> None:
        """It is to be opened by other settings: what was learned of it counts no more."""
        self._patience = patience
        self._gaps_ns.clear()
        self._failures = 0
        if self._phase != "disabled":
            self._phase, self._since_ns = "waiting", None
            self.told = Told(state="closed")

    def finished(self, words: str) -> None:
        self._phase = "over"
        self.told = Told(state="finished", detail=words)

    def rest_s(self, now_ns: int) -> float:
        """Until a pause is over; infinite when there is none."""
        if self._phase != "waiting":
            return math.inf
        return 0.0 if self._since_ns is None else max(0.0, (self._since_ns - now_ns) / 1e9)

    @property
    def _silence_is_normal(self) -> bool:
        return self._patience.silence_s == math.inf

    def _silence(self, now_ns: int) -> str | None:
        """Why the camera has been silent for too long; None when it has not."""
        if _seconds(now_ns, self._breath_ns) > HANG_S:
            return f"its driver has hung for more than {HANG_S:g} s"
        limit_s = self._limit_s()
        return (
            f"no frame for more than {limit_s:.2g} s" if _seconds(now_ns, self._heard_ns) > limit_s else None
        )

    def _limit_s(self) -> float:
        patience = self._patience
        if patience.silence_s is not None:
            steady_s = patience.silence_s
        elif self._gaps_ns:
            steady_s = max(SHORTEST_SILENCE_S, PERIODS * max(self._gaps_ns) / 1e9)
        else:
            steady_s = patience.first_frame_s
        return steady_s if self._frame_ns is not None else max(steady_s, patience.first_frame_s)

    def _give_up(
        self, now_ns: int, state: Literal["stalled", "lost"], words: str, pause_s: float | None = None
    ) -> None:
        if pause_s is None:
            first_s, longest_s = self._pauses.first_s, self._pauses.longest_s
            pause_s = backoff_s(self._failures, self._rng, first_s=first_s, longest_s=longest_s)
        self._failures += 1
        self._enter("waiting", now_ns + round(pause_s * 1e9))
        self.told = Told(state=state, detail=words)

    def _enter(self, phase: Literal["waiting", "opening", "open"], since_ns: int) -> None:
        self._phase, self._since_ns = phase, since_ns


def _seconds(now_ns: int, since_ns: int | None) -> float:
    return 0.0 if since_ns is None else (now_ns - since_ns) / 1e9
