"""How much of its work a camera's line gets done: records without a decision among those of the last minute.

The rules take the moment as an argument, in nanoseconds of the monotonic clock, so that a test can hold it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.contract.verdict import Verdict

WINDOW_S = 60
FEW = 3  # single records without a decision are no trouble of the station
NOTHING_S = 10.0  # that a slow camera may be without one decision
IDLE_S = 300.0  # without a record until a line has nothing to do, rather than seldom something
HOLD_S = 10.0  # within the limit until a trouble is over, so that words do not come and go
NAMED = 8  # reasons told apart; the rest are OTHER
OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Records of the last WINDOW_S seconds, to the second."""

    judged: int = 0
    unjudged: Mapping[str, int] = field(default_factory=dict)  # by reason
    nothing_s: float = 0.0  # since the first record here, when none is judged

    @property
    def count(self) -> int:
        return self.judged + sum(self.unjudged.values())

    @property
    def unjudged_share(self) -> float:
        """0 where nothing came."""
        return sum(self.unjudged.values()) / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """More than the limit was not judged; `grounds` are reasons, each with the detail of one such record."""

    grounds: Mapping[str, str]
    well_since_ns: int | None = None


@dataclass(slots=True)
class _Second:
    at_s: int
    judged: int = 0
    unjudged: Counter[str] = field(default_factory=Counter)


class Minute:
    """Counts of the last minute in at most WINDOW_S places."""

    def __init__(self) -> None:
        self._seconds: deque[_Second] = deque()
        self._judged = 0
        self._unjudged: Counter[str] = Counter()

    def add(self, reason: str | None, now_ns: int) -> str | None:
        """One record; `reason` None for one that was judged. The reason it is counted under."""
        self._forget(now_ns)
        if not self._seconds or self._seconds[-1].at_s != now_ns // 10**9:
            self._seconds.append(_Second(now_ns // 10**9))
        if reason is None:
            self._seconds[-1].judged += 1
            self._judged += 1
            return None
        if reason not in self._unjudged and len(self._unjudged) >= NAMED:
            reason = OTHER
        self._seconds[-1].unjudged[reason] += 1
        self._unjudged[reason] += 1
        return reason

    def tally(self, now_ns: int) -> Tally:
        self._forget(now_ns)
        nothing = self._seconds and not self._judged
        return Tally(
            judged=self._judged,
            unjudged=dict(self._unjudged),
            nothing_s=now_ns / 1e9 - self._seconds[0].at_s if nothing else 0.0,
        )

    def _forget(self, now_ns: int) -> None:
        while self._seconds and self._seconds[0].at_s <= now_ns // 10**9 - WINDOW_S:
            gone = self._seconds.popleft()
            self._judged -= gone.judged
            self._unjudged -= gone.unjudged  # drops reasons at zero


def look(
    before: Trouble | None,
    tally: Tally,
    details: Mapping[str, str],
    *,
    in_a_row: int,
    max_unjudged_share: float,
    now_ns: int,
) -> Trouble | None:
    """The trouble there is now, given the one before.

    Grounds are only added while it lasts, so that its words settle. It ends with records that are judged:
    a camera that gives nothing more has not got better. `in_a_row`: records without a decision since the last
    one that was judged.
    """
    enough = FEW if max_unjudged_share else 1
    much = tally.unjudged_share > max_unjudged_share and sum(tally.unjudged.values()) >= enough
    if much or (tally.nothing_s >= NOTHING_S and in_a_row >= enough):
        main = max(tally.unjudged, key=lambda reason: tally.unjudged[reason])
        shares = {reason: count / tally.count for reason, count in tally.unjudged.items()}
        found = [main, *(reason for reason, share in shares.items() if share > max_unjudged_share)]
        known = before.grounds if before else {}
        new = {reason: details.get(reason, "") for reason in found if reason not in known}
        return Trouble(grounds={**known, **new})
    if before is None or tally.judged == 0:
        return before
    if before.well_since_ns is None:
        return replace(before, well_since_ns=now_ns)
    return before if now_ns - before.well_since_ns < HOLD_S * 1e9 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one camera's line made of the last minute."""

    tally: Tally = field(default_factory=Tally)
    trouble: Trouble | None = None
    unrecorded_s: float = 0.0  # that frames have been coming without one record


class CameraWork:
    """The work of one camera as it is told; the caller keeps threads apart."""

    def __init__(self) -> None:
        self._minute = Minute()
        self._details: dict[str, str] = {}  # of the latest record of each reason in the minute
        self._trouble: Trouble | None = None
        self._in_a_row = FEW  # without a decision; a camera of which nothing was ever judged has no credit
        self._record_ns = 0
        self._frames = 0
        self._frame_ns = 0
        self._unrecorded_ns: int | None = None  # when the first frame after the last record came

    def recorded(self, verdict: Verdict, now_ns: int) -> None:
        """One while the station is paused says nothing of its work."""
        if verdict.reason == "paused":
            self._unrecorded_ns = None
            return
        reason = None if verdict.verdict in ("pass", "fail") else verdict.reason or OTHER
        self._in_a_row = 0 if reason is None else self._in_a_row + 1
        self._record_ns = now_ns
        reason = self._minute.add(reason, now_ns)
        if reason is not None:
            self._details[reason] = verdict.detail or ""
        self._unrecorded_ns = None

    def received(self, frames: int, now_ns: int) -> None:
        """How many frames the camera has given since the start."""
        if frames > self._frames:
            self._frames, self._frame_ns = frames, now_ns
            if self._unrecorded_ns is None:
                self._unrecorded_ns = now_ns

    def look(self, *, max_unjudged_share: float, ended: bool, now_ns: int) -> Work:
        """`ended`: the camera will give nothing more, so its last minute is all there is to say of it."""
        tally = self._minute.tally(now_ns)
        self._details = {reason: self._details[reason] for reason in tally.unjudged}
        is_over = tally.count == 0 and (ended or now_ns - self._record_ns >= IDLE_S * 1e9)
        self._trouble = look(
            None if is_over else self._trouble,
            tally,
            self._details,
            in_a_row=self._in_a_row,
            max_unjudged_share=max_unjudged_share,
            now_ns=now_ns,
        )
        still_comes = now_ns - self._frame_ns < NOTHING_S * 1e9
        since_ns = self._unrecorded_ns if self._unrecorded_ns is not None and still_comes else now_ns
        return Work(tally=tally, trouble=self._trouble, unrecorded_s=(now_ns - since_ns) / 1e9)
