"""A day of production, made up from a seed: when parts come, what becomes of them, and why.

Three shifts, each with a slow start, a break and a handover in which nothing comes; a few parts in a
hundred fail, and now and then a tool wears or a batch is bad, and many do for some minutes. Pure.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from agent.messages import Box, VerdictName

SHIFT_S = 8 * 3600.0
SHIFTS = (1.0, 0.95, 0.8)  # early, late, night: how fast the line runs
PACES = (  # seconds into a shift, and the part of the shift's speed from there on
    (0.0, 0.5),
    (900.0, 1.0),
    (4 * 3600.0, 0.0),
    (4.5 * 3600.0, 1.0),
    (SHIFT_S - 600.0, 0.0),
)
FAIL_RATE = 0.02
UNDECIDED_RATE = 0.003
SKIPPED_RATE = 0.002
BURST_EVERY_S = 4 * 3600.0  # on average
BURST_S = (180.0, 900.0)
BURST_FAIL_RATE = (0.15, 0.4)
UNDECIDED_REASONS = ("lost_lines", "engine_error")
SKIPPED_REASONS = ("overload", "camera_error")
FRAME_PX = (1024, 512)
DEFECT_PX = (12, 90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one camera saw of one part."""

    at_s: float  # since the day began
    part: int
    camera: str
    verdict: VerdictName
    reason: str | None  # of an undecided or skipped one
    normalized: float | None  # 100 is the threshold; None where nothing was judged
    boxes: tuple[Box, ...]  # of defects


def day(seed: int, *, hours: float, cameras: tuple[str, ...], rate_hz: float) -> Iterator[Piece]:
    """The pieces of the first `hours`, in order of time; at full speed `rate_hz` parts pass all cameras."""
    rng = random.Random(seed)
    bursts = tuple(_bursts(rng, hours * 3600))
    part, at_s, interval_s = 0, 0.0, 1 / rate_hz
    while at_s < hours * 3600:
        pace = pace_at(at_s)
        if pace == 0:
            at_s += 1.0
            continue
        part += 1
        fail_rate = _fail_rate(bursts, at_s)
        for number, camera in enumerate(cameras):
            seen_s = at_s + number * interval_s / (2 * len(cameras))
            yield _piece(rng, seen_s, part, camera, fail_rate)
        at_s += interval_s / pace * rng.uniform(0.9, 1.1)


def pace_at(at_s: float) -> float:
    """How fast the line runs, from 0 to 1."""
    shift, into_s = divmod(at_s, SHIFT_S)
    index = bisect_right([start_s for start_s, _ in PACES], into_s) - 1
    return SHIFTS[int(shift) % len(SHIFTS)] * PACES[index][1]


def _bursts(rng: random.Random, seconds: float) -> Iterator[tuple[float, float, float]]:
    """Start, end and fail rate of each time in which many parts are bad."""
    start_s = rng.expovariate(1 / BURST_EVERY_S)
    while start_s < seconds:
        end_s = start_s + rng.uniform(*BURST_S)
        yield start_s, end_s, rng.uniform(*BURST_FAIL_RATE)
        start_s = end_s + rng.expovariate(1 / BURST_EVERY_S)


def _fail_rate(bursts: tuple[tuple[float, float, float], ...], at_s: float) -> float:
    return next((rate for start_s, end_s, rate in bursts if start_s <= at_s < end_s), FAIL_RATE)


def _piece(rng: random.Random, at_s: float, part: int, camera: str, fail_rate: float) -> Piece:
    drawn = rng.random()
    name: VerdictName = "pass"
    reason: str | None = None
    normalized: float | None = None
    boxes: tuple[Box, ...] = ()
    if drawn < SKIPPED_RATE:
        name, reason = "skipped", rng.choice(SKIPPED_REASONS)
    elif drawn < SKIPPED_RATE + UNDECIDED_RATE:
        name, reason = "undecided", rng.choice(UNDECIDED_REASONS)
    elif drawn < SKIPPED_RATE + UNDECIDED_RATE + fail_rate:
        name, normalized = "fail", 100 + rng.expovariate(1 / 40)
        boxes = tuple(_box(rng) for _ in range(rng.choice((1, 1, 1, 2, 3))))
    else:
        normalized = min(rng.lognormvariate(3.9, 0.2), 99.9)
    return Piece(
        at_s=at_s, part=part, camera=camera, verdict=name, reason=reason, normalized=normalized, boxes=boxes
    )


def _box(rng: random.Random) -> Box:
    width, height = rng.randint(*DEFECT_PX), rng.randint(*DEFECT_PX)
    return rng.randint(0, FRAME_PX[0] - width), rng.randint(0, FRAME_PX[1] - height), width, height
