"""Only held-back parts promise anything of a bundle that was trained here: what that asks of all. Pure."""

from __future__ import annotations

import math

from agent.teach.threshold import Promise


def parts_missing(found: Promise, parts: int) -> int:
    """How many more have to be collected, where as large a share of them is held back as of these `parts`."""
    return math.ceil(found.missing * max(1, parts) / max(1, found.share.frames))


def held_words(found: Promise, parts: int) -> list[str]:
    """For people."""
    said = f"{found.share.frames} of {parts} parts were held back from training and alone set the threshold"
    if found.is_promised:
        return [said]
    return [f"{said}: about {parts_missing(found, parts)} more parts have to be collected"]
