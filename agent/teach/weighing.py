"""What good frames say of a threshold, as JSON: for answers, the page and the command line."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from agent.remote.commands.goods import Good, Weighed
from agent.remote.commands.what_if import histogram
from agent.teach.threshold import Promise, Scored, Share, promise, words


def weigh(goods: Sequence[Good], rate: float) -> Weighed:
    """Raises ThresholdError."""
    parts = [Scored(score=one.score, camera=one.camera, minute=one.minute) for one in goods]
    found = promise(parts, rate)
    shape = histogram([one.score for one in goods])
    return Weighed(threshold=found.threshold, data={**told(found), "histogram": shape})


def told(found: Promise) -> dict[str, JsonValue]:
    """All of a promise."""
    tail = found.tail
    return {
        "threshold": found.threshold,
        "interval": list(found.interval),
        "target": found.target,
        "rate": found.rate,
        "provisional": not found.is_promised,
        "minutes": found.minutes,
        "needed": found.needed,
        "needed_sure": found.needed_sure,
        "missing": found.missing,
        "left_out": found.left_out,
        **_told_share(found.share),
        "groups": [
            {"camera": one.camera, "recipe": one.recipe, "light": one.light, **_told_share(one.share)}
            for one in found.groups
        ],
        "tail": {
            "threshold": tail.threshold,
            "interval": None if tail.interval is None else list(tail.interval),
            "shape": tail.shape,
            "excesses": tail.excesses,
            "why": tail.why or None,
        },
        "words": list(words(found)),
    }


def _told_share(share: Share) -> dict[str, JsonValue]:
    return {
        "frames": share.frames,
        "worth": round(share.worth, 1),
        "rejected": share.rejected,
        "rejected_interval": list(share.interval),
    }
