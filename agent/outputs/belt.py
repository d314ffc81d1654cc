"""Where the belt is, as far as encoder readings tell. Pure; ticks count up as parts come nearer to the gate.

Between two readings, and for RELIED_ON gaps beyond the newest one, the belt is taken to go on at the speed of
the last few. Where readings stop coming it is taken to stand: lines that an encoder triggers stop with it.
Counters of 32 bits may wrap. One that falls by more than RESET times what the belt ever did in so long, or
between two readings, was reset, as it is with a camera's new connection: the belt is taken to have gone on,
so parts under way keep their places, which are then estimated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

RELIED_ON = 1.5  # gaps between readings
SMOOTHED = 4  # readings that the speed is taken from, while it stays what it is
STEADY = 0.25  # share by which the last gap's speed may differ for that
RESET = 4  # times the fastest speed, backwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An encoder count, and when the belt was there by the monotonic clock."""

    count: int
    at_ns: int
    epoch: int = 0  # another one: the counter may have begun anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Belt:
    """Places are in ticks since the first reading, over wraps and resets of the counter."""

    newest: Reading | None = None
    place: float = 0.0  # at the newest reading
    speed: float = 0.0  # ticks for each ns
    gap_ns: int = 0  # between the last two readings
    fastest: float = 0.0  # that it ever went forward, over the last few readings
    step: int = (
        0  # the longest forward from one reading to the next: blocks that the network held up come at once
    )
    lately: tuple[tuple[int, float], ...] = ()  # when and where of the last readings, since a reset
    count_before: int = 0  # of the counter, as it would stand now without its last reset
    resets: int = 0


def read(belt: Belt, reading: Reading) -> Belt:
    """With one reading more; one that is not newer than the newest changes nothing."""
    before = belt.newest
    if before is None:
        return replace(belt, newest=reading, lately=((reading.at_ns, 0.0),))
    gap_ns = reading.at_ns - before.at_ns
    if gap_ns <= 0:
        return belt
    ticks = _unwrapped(reading.count - before.count)
    reach = RESET * max(belt.step, belt.fastest * gap_ns)
    if reading.epoch != before.epoch or (belt.step > 0 and -ticks > reach):
        place = place_at(belt, reading.at_ns)
        return replace(
            belt,
            newest=reading,
            place=place,
            gap_ns=min(gap_ns, belt.gap_ns or gap_ns),
            lately=((reading.at_ns, place),),
            count_before=before.count + round(place - belt.place),
            resets=belt.resets + 1,
        )
    place = belt.place + ticks
    lately = (*belt.lately, (reading.at_ns, place))[-SMOOTHED:]
    return replace(
        belt,
        newest=reading,
        place=place,
        speed=_speed(lately),
        gap_ns=gap_ns,
        fastest=max(belt.fastest, (place - lately[0][1]) / (reading.at_ns - lately[0][0])),
        step=max(belt.step, ticks),
        lately=lately,
        count_before=belt.count_before + ticks,
    )


def place_at(belt: Belt, at_ns: int) -> float:
    """At a moment, also one before the newest reading, by the speed of then."""
    if belt.newest is None:
        return 0.0
    return belt.place + belt.speed * min(at_ns - belt.newest.at_ns, round(RELIED_ON * belt.gap_ns))


def when(belt: Belt, place: float) -> int | None:
    """The moment at which it is or was at a place; None where the readings do not take it there."""
    if belt.newest is None or belt.speed <= 0:
        return None if belt.newest is None or place > belt.place else belt.newest.at_ns
    after_ns = (place - belt.place) / belt.speed
    return None if after_ns > RELIED_ON * belt.gap_ns else belt.newest.at_ns + round(after_ns)


def place_of(belt: Belt, count: int) -> float:
    """Where something was that the camera saw at this count, lately; before a reset or after it."""
    if belt.newest is None:
        return 0.0
    since = belt.place + _unwrapped(count - belt.newest.count)
    before = belt.place + _unwrapped(count - belt.count_before)
    if belt.resets == 0:
        return since
    # The camera sees nothing that is still to come; of two places behind it the nearer one is meant.
    return min(
        (since, before), key=lambda place: (place > belt.place + _slack(belt), abs(belt.place - place))
    )


def _slack(belt: Belt) -> float:
    return 1 + belt.fastest * RELIED_ON * belt.gap_ns


def _speed(lately: tuple[tuple[int, float], ...]) -> float:
    (first_ns, first), (before_ns, before), (last_ns, last) = lately[0], lately[-2], lately[-1]
    newest = (last - before) / (last_ns - before_ns)
    smooth = (last - first) / (last_ns - first_ns)
    return smooth if abs(newest - smooth) <= STEADY * abs(smooth) else newest


def _unwrapped(ticks: int) -> int:
    """The shorter way round a counter of 32 bits; wider ones never move that far between two readings."""
    return (ticks + (1 << 31)) % (1 << 32) - (1 << 31)
