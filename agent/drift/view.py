"""How the cameras' frames stand to their references, for the page, the command line and messages: pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agent.drift.compare import Kind, Seen
from agent.drift.series import Series
from agent.foreign import stored

WORDS: dict[Kind, str] = {
    "light_changed": "the light changed",
    "picture_changed": "the picture is not as sharp, or is sharper",
    "more_defects": "more parts fail, in the same light",
    "scores_moved": "good parts score otherwise, in the same light",
}
REMEDY: dict[Kind, str] = {
    "light_changed": "clean and check lamp, lens and exposure",
    "picture_changed": "clean the lens, check focus, speed and mounting",
    "more_defects": "look at the rejects and at the machine before the camera",
    "scores_moved": "look at the parts: material or product may be another",
}


def drift_view(series: Iterable[Series]) -> list[dict[str, Any]]:
    """One object for each camera and recipe, as JSON: numbers of now and then, and what goes on.

    `state` is learning, watching or one of the kinds of change.
    """
    return [_of(one) for one in series]


def words_of(camera: str, kind: Kind, seen: Seen) -> str:
    """One sentence."""
    numbers = {
        "light_changed": seen.off("light", 0.5),
        "picture_changed": seen.off("input", 0.5)
        or tuple(one for one in seen.lately if one.group == "input"),
        "scores_moved": (*seen.off("score", 0.5), *seen.off("restoration", 0.5)),
        "more_defects": (),
    }[kind]
    told = ", ".join(f"{one.name} {one.now:.4g} instead of {one.then:.4g}" for one in numbers)
    if kind == "more_defects":
        told = f"{seen.fails} of the last {seen.frames}"
    elif kind in ("light_changed", "picture_changed"):
        told += "; scores follow" if scores_follow(seen) else "; scores hold"
    return f"Camera {camera}: {WORDS[kind]} since its first good parts ({told}); {REMEDY[kind]}"


def scores_follow(seen: Seen) -> bool:
    """Whether scores moved with what is off."""
    return bool(seen.off("score", 0.5)) or seen.fail_chance <= 0.01


def _of(series: Series) -> dict[str, Any]:
    reference, seen = series.reference, series.seen
    told: dict[str, Any] = {
        "camera": stored(series.camera),
        "recipe": stored(series.recipe),
        "state": series.episode.kind or ("learning" if reference is None else "watching"),
        "learned": len(series.learned) if reference is None else reference.good,
        "of": series.good if reference is None else reference.good,
        "since": None if reference is None else reference.since,
        "then_result_id": None if reference is None else reference.typical,
        "frames": 0 if seen is None else seen.frames,
        "fails": 0 if seen is None else seen.fails,
        "words": None,
        "numbers": [],
    }
    if seen is not None:
        told["numbers"] = [
            {
                "name": one.name,
                "group": one.group,
                "now": round(one.now, 4),
                "then": round(one.then, 4),
                "shift": round(one.shift, 2),
                "limit": round(one.limit, 2),
                "psi": round(one.psi, 3),
                "is_off": one.is_off(),
            }
            for one in seen.numbers
        ]
        if series.episode.kind is not None:
            told["words"] = stored(words_of(series.camera, series.episode.kind, seen))
    return told
