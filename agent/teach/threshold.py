"""The threshold for a target false-reject rate, from scores of good parts, and what it may promise. Pure.

Split conformal: of n exchangeable good scores the ceil((n + 1)(1 - target))-th smallest. Frames of one minute
are not exchangeable, so n is how many independent ones they are worth: frames over the design effect, which
the intra-class correlation of their ranks within minutes gives (Kish). Where that is too small for the target
the largest score sets the threshold, and what it promises is said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.contract.judging import LOWEST_TARGET
from agent.errors import PlumblineError
from agent.messages import Floats
from agent.teach.tail import Tail, tail_quantile

RESAMPLES = 1000
AT_ONCE = 100  # resamples
SEED = 0
Z_95 = 1.959964
CERTAINTY = 0.95
LOWEST = 1e-6  # that the settings take as a threshold
TIES = 0.1  # of the scores that are one value: worth a word


class ThresholdError(PlumblineError):
    """No threshold can come of this; says what is wanted in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The raw score of a good part, under what it was seen, and in which minute; None where nobody knows."""

    score: float
    camera: str = ""
    recipe: str = ""
    light: str = ""
    minute: str | None = None

    @property
    def group(self) -> tuple[str, str, str]:
        return self.camera, self.recipe, self.light


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Of good parts that a threshold rejects, with its Wilson interval (95 %)."""

    rejected: int
    frames: int
    worth: float  # independent frames
    interval: tuple[float, float]

    @property
    def rate(self) -> float:
        return self.rejected / self.frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    camera: str
    recipe: str
    light: str
    share: Share

    @property
    def name(self) -> str:
        return " / ".join(word for word in (self.camera, self.recipe, self.light) if word) or "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A threshold and what may be said of it."""

    threshold: float
    interval: tuple[float, float]  # 95 %, by a bootstrap over minutes
    target: float
    rate: float  # the expected false-reject rate that it promises: the target, or what so few can
    minutes: int | None  # None where times are not known
    left_out: int  # scores that are no numbers
    tied: int  # scores of one value, the most frequent
    share: Share  # of the very parts that set it
    groups: tuple[Group, ...]
    needed: int  # independent parts for the target, on the average
    needed_sure: int  # for the target with 95 % certainty, if none of them is rejected
    missing: int  # frames as these that are still needed for the target; 0 where it is promised
    tail: Tail

    @property
    def is_promised(self) -> bool:
        return self.missing == 0


def promise(parts: Sequence[Scored], target: float) -> Promise:
    """The threshold that new good parts exceed at the rate `target`. Raises ThresholdError."""
    check_target(target)
    good = [one for one in parts if math.isfinite(one.score)]
    if not good:
        none = (
            "no good part" if not parts else f"none of {len(parts)} good parts has a score that is a number"
        )
        raise ThresholdError(f"{none}; give at least {needed(target)} for a false-reject rate of {target:g}")
    good = sorted(good, key=lambda one: one.score)
    scores = np.array([one.score for one in good], np.float32)
    count, worth = len(good), independent(good)
    level = min(1.0, (worth + 1) * (1 - target) / worth)
    # Rounded, because 500 times 0.998 is a little above 499.
    rank = min(count, math.ceil(round(level * count, 6)))
    threshold = _just_above(float(scores[rank - 1]))
    if threshold < LOWEST:
        raise ThresholdError(
            f"{rank} of {count} good parts have a score below {LOWEST:g}: the bundle sees nothing in them; "
            "check lens, light and bundle"
        )
    # Parts are worth a fraction of one, too: what they can promise is promised when it is asked for.
    missing = max(0, math.ceil(round(((1 - target) / target - worth) * count / worth, 6)))
    return Promise(
        threshold=threshold,
        interval=_interval(good, scores, rank),
        target=target,
        rate=target if missing == 0 else 1 / (worth + 1),
        minutes=_minutes(good),
        left_out=len(parts) - count,
        tied=Counter(scores.tolist()).most_common(1)[0][1],
        share=share(good, threshold),
        groups=groups(good, threshold),
        needed=needed(target),
        needed_sure=math.ceil(math.log(1 - CERTAINTY) / math.log1p(-target)),
        missing=missing,
        tail=tail_quantile(scores, target, worth=worth),
    )


def check_target(target: float) -> None:
    """Raises ThresholdError for a rate that no number of parts can promise."""
    if not LOWEST_TARGET <= target <= 0.5:  # nan is neither
        raise ThresholdError(
            f"a target false-reject rate of {target:g} cannot be promised by any number of good parts; give "
            f"one from {LOWEST_TARGET:g} to 0.5, such as 0.005 for one part in 200"
        )


def needed(target: float) -> int:
    """How many independent good parts can promise an expected false-reject rate of `target`."""
    return math.ceil(round((1 - target) / target, 6))


def askable(rate: float) -> float:
    """A rate that can be promised, as it is said and asked for: rounded up to a hundredth of a percent."""
    return math.ceil(round(rate * 1e4, 6)) / 1e4


def independent(parts: Sequence[Scored]) -> float:
    """How many independent parts these are worth: from 1 to as many as they are."""
    return sum(map(_worth, _by_group(parts).values()))


def _by_group(parts: Sequence[Scored]) -> dict[tuple[str, str, str], list[Scored]]:
    found: dict[tuple[str, str, str], list[Scored]] = {}
    for one in parts:
        found.setdefault(one.group, []).append(one)
    return found


def _worth(parts: Sequence[Scored]) -> float:
    """Of one group."""
    minutes = Counter(one.minute for one in parts)
    if None in minutes or len(minutes) == len(parts):
        return float(len(parts))
    if len(minutes) == 1:  # of the next minute they say as much as one part
        return 1.0
    number = {minute: index for index, minute in enumerate(minutes)}
    of = np.array([number[one.minute] for one in parts])
    ranks = _ranks(np.array([one.score for one in parts], np.float32))
    sizes = np.bincount(of).astype(float)
    total, k = float(len(parts)), len(sizes)
    means = np.bincount(of, ranks) / sizes
    between = float((sizes * (means - ranks.mean()) ** 2).sum()) / (k - 1)
    within = float(((ranks - means[of]) ** 2).sum()) / max(1.0, total - k)
    typical = (total - float((sizes**2).sum()) / total) / (k - 1)
    spread = between + (typical - 1) * within
    correlation = 0.0 if spread <= 0 else min(1.0, max(0.0, (between - within) / spread))
    return max(1.0, total / (1 + (float((sizes**2).sum()) / total - 1) * correlation))


def share(parts: Sequence[Scored], threshold: float) -> Share:
    """How many of these the threshold rejects, as the judge compares: in float32, at or above it."""
    rejected = sum(bool(np.float32(one.score) >= np.float32(threshold)) for one in parts)
    worth = independent(parts)
    return Share(
        rejected=rejected, frames=len(parts), worth=worth, interval=wilson(rejected / len(parts), worth)
    )


def groups(parts: Sequence[Scored], threshold: float) -> tuple[Group, ...]:
    """Share by share, for each camera, recipe and light by itself."""
    return tuple(
        Group(camera=camera, recipe=recipe, light=light, share=share(own, threshold))
        for (camera, recipe, light), own in sorted(_by_group(parts).items())
    )


def wilson(rate: float, count: float) -> tuple[float, float]:
    """The 95 % interval of a share `rate` of `count` (Wilson 1927)."""
    z2 = Z_95**2 / count
    middle = (rate + z2 / 2) / (1 + z2)
    half = Z_95 / (1 + z2) * math.sqrt(rate * (1 - rate) / count + z2 / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def _parts(count: int, more: str = "") -> str:
    return f"{count} {more}good part{'' if count == 1 else 's'}"


def words(found: Promise) -> list[str]:
    """What a person should know of it, one sentence each."""
    parts = found.share
    low, high = found.interval
    said = [f"threshold {found.threshold:.5g} (95 %: {low:.5g} to {high:.5g}) from {_parts(parts.frames)}"]
    if parts.worth < 0.95 * parts.frames:
        said.append(
            f"they come from {found.minutes} minutes, and parts of one minute are alike: they are worth "
            f"{parts.worth:.0f} independent ones"
        )
    if found.minutes is None:
        said.append("when they were taken is not known: they count as independent of each other")
    if found.is_promised:
        said.append(
            f"new good parts like these are rejected at a rate of {found.target:.3%} or less on the average; "
            f"of these {parts.rejected} of {parts.frames} are, 95 % interval {parts.interval[0]:.3%} to "
            f"{parts.interval[1]:.3%}"
        )
        if parts.worth < found.needed_sure:
            said.append(f"to be 95 % sure of it takes {found.needed_sure} independent good parts")
    else:
        said.append(
            f"a false-reject rate of {found.target:.3%} cannot be promised from so few, only "
            f"{askable(found.rate):.2%}: give {_parts(found.missing, 'more ')}, taken as these were"
        )
    said += [
        f"{one.name}: {one.share.rejected} of {one.share.frames} are rejected, at least "
        f"{one.share.interval[0]:.2%} of such parts: this group needs a threshold of its own"
        for one in found.groups
        if len(found.groups) > 1 and one.share.interval[0] > found.target
    ]
    if found.left_out:
        said.append(f"{found.left_out} scores are no numbers and were left out; look at those parts")
    if found.tied > max(1, TIES * parts.frames):
        said.append(f"{found.tied} scores are one and the same value: is one picture there several times?")
    return [*said, _of_tail(found)]


def _of_tail(found: Promise) -> str:
    tail = found.tail
    if tail.threshold is None or tail.interval is None:
        return f"no second opinion by the tail of the scores: {tail.why}"
    low, high = tail.interval
    agrees = "it agrees" if low <= found.threshold <= high else "it does not; take more good parts first"
    return (
        f"second opinion by the tail of the scores: {tail.threshold:.5g} (95 %: {low:.5g} to {high:.5g}): "
        f"{agrees}"
    )


def _interval(parts: Sequence[Scored], ordered: Floats, rank: int) -> tuple[float, float]:
    """Whole minutes are drawn again, so that frames that are alike come and go together."""
    keys = [(one.group, index if one.minute is None else one.minute) for index, one in enumerate(parts)]
    number = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    of = np.array([number[key] for key in keys])
    rng, even = np.random.default_rng(SEED), np.full(len(number), 1 / len(number))
    drawn: list[Floats] = []
    for _ in range(RESAMPLES // AT_ONCE):
        reached = np.cumsum(rng.multinomial(len(number), even, AT_ONCE)[:, of], axis=1)
        drawn.append(ordered[np.argmax(reached >= rank / len(parts) * reached[:, -1:], axis=1)])
    low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975])
    return _just_above(float(low)), _just_above(float(high))


def _minutes(parts: Sequence[Scored]) -> int | None:
    if any(one.minute is None for one in parts):
        return None
    return len({(one.group, one.minute) for one in parts})


def _ranks(scores: Floats) -> Floats:
    """Equal scores have their middle rank."""
    _, of, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(middle[of], np.float32)


def _just_above(score: float) -> float:
    """A frame fails at or above the threshold, and the one that sets it must pass."""
    return float(np.nextafter(np.float32(score), np.float32(np.inf)))
