"""When a change is told: once, and once that it is over; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.drift.compare import OVER, Kind, Seen, kind_of

LOOKS = 2  # in a row, before anything is told
LEANS = 0.7  # of the limits, from which on a light may be about to be off
LONGEST_WAIT = 4  # looks, that a change of scores waits for a light that leans


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """`kind` is what was told and goes on; it stays the same to its end."""

    kind: Kind | None = None
    coming: Kind | None = None
    looks: int = 0  # that said the same, for a change or against the one that goes on
    waited: int = 0


def go_on(episode: Episode, seen: Seen) -> Episode:
    """After one more look."""
    if episode.kind is not None:
        calm = kind_of(seen, OVER) is None
        looks = episode.looks + 1 if calm else 0
        return Episode() if looks >= LOOKS else replace(episode, looks=looks)
    kind = kind_of(seen)
    if kind is None:
        return Episode()
    if kind in ("more_defects", "scores_moved") and _light_leans(seen) and episode.waited < LONGEST_WAIT:
        return replace(episode, coming=kind, looks=0, waited=episode.waited + 1)
    looks = episode.looks + 1 if kind == episode.coming else 1
    if looks >= LOOKS:
        return Episode(kind=kind)
    return replace(episode, coming=kind, looks=looks)


def _light_leans(seen: Seen) -> bool:
    return bool(seen.off("light", LEANS) or seen.off("input", LEANS))
