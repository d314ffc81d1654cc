"""Evidence against good parts, in words: pure. They describe; what decides is the score alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.explain.document import Evidence
from agent.explain.form import Good, Kind

NAMES: Mapping[str, str] = {
    "mask": "looks like a defect to the finder",
    "taught": "looks like what its teachers found",
    "stride_4": "fine texture, at stride 4",
    "stride_8": "texture at stride 8",
    "stride_16": "structure at stride 16",
    "pixels": "brightness",
    "latents": "how much had to be restored",
    "memory_5": "coarse structure beside remembered good parts",
    "memory_6": "overall look beside remembered good parts",
}
LEARNED = ("mask", "taught")  # opinions; the others are differences that were measured
LITTLE = 3.0  # spreads; good parts have so much in a place out of a hundred at most
NEARLY = 0.8  # of the strongest kind: worth a word, too
SURE = 0.999  # the share of places of good parts above which the finder is taken at its word


def name_of(kind: str) -> str:
    """A kind that a later version has added keeps its own name."""
    return NAMES.get(kind, kind)


def rarity(value: float, kind: Kind, shares: Sequence[float]) -> str | None:
    """How many places of good parts have as much, in few words; None where nobody measured them."""
    if not shares:
        return None
    below = [share for share, known in zip(shares, kind.values, strict=True) if value > known]
    if not below:
        return "more than 1 in 2"
    return f"under 1 in {round(1 / (1 - below[-1])):,}"


def evidence_of(good: Good, peak: Sequence[float], mean: Sequence[float]) -> tuple[Evidence, ...]:
    """All kinds that have a say, in their order, from their values at the peak and over the defect."""
    raised = [max(0.0, kind.weight * value) for kind, value in zip(good.kinds, peak, strict=True)]
    whole = sum(raised)
    return tuple(
        Evidence(
            kind=kind.name,
            words=name_of(kind.name),
            peak=round(at_peak, 2),
            mean=round(over, 2),
            part=round(share / whole, 3) if whole else 0.0,
            rarity=rarity(at_peak, kind, good.shares),
        )
        for kind, at_peak, over, share in zip(good.kinds, peak, mean, raised, strict=True)
        if kind.weight  # a student without a teacher knows nothing of what one would have found
    )


def sentence(found: Sequence[Evidence], good: Good) -> str:
    """In what it differs from good parts mostly, and what the finder says to it."""
    measured = sorted(
        (one for one in found if one.kind not in LEARNED), key=lambda one: one.peak, reverse=True
    )
    finder = _finder(found, good)
    if not measured or measured[0].peak < LITTLE:
        return f"Nothing that was measured differs much from good parts{finder}."
    first = measured[0]
    others = [one.words for one in measured[1:] if one.peak >= max(LITTLE, NEARLY * first.peak)]
    rare = "" if first.rarity is None else f"; {first.rarity} places of good parts have as much"
    also = f", nearly as much in {_listed(others)}" if others else ""
    return (
        f"Differs from good parts mostly in {first.words}, by {first.peak:.1f} spreads{rare}{also}{finder}."
    )


def _finder(found: Sequence[Evidence], good: Good) -> str:
    mask = next((one for one in found if one.kind == "mask"), None)
    if mask is None:
        return ""
    known = dict(
        zip(good.shares, next(kind for kind in good.kinds if kind.name == "mask").values, strict=True)
    )
    limit = known.get(SURE, LITTLE)
    return (
        "; it looks like a defect to the finder" if mask.peak > limit else "; to the finder it is no defect"
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
