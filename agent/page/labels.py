"""Labels learned of marks, in words and numbers, and the change of settings that uses them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from agent.contract.commands import NotDoneError
from agent.foreign import shown
from agent.labels.label_set import LEAST
from agent.labels.learn import Learned
from agent.page.sources import Json
from agent.settings.settings import Settings

SAID_REFUSED = 5


def with_labels(wanted: Settings, *, recipe: str, sha256: str | None) -> Mapping[str, JsonValue]:
    """The merge patch that has a set name defects of a recipe; None: no set. Raises NotDoneError."""
    if not wanted.recipes:
        return {"labels": {"set": sha256}}
    if recipe not in [one.name for one in wanted.recipes]:
        known = ", ".join(one.name for one in wanted.recipes)
        raise NotDoneError("not_found", f"there is no recipe {shown(recipe)} any more; there are {known}")
    recipes = [
        one.model_copy(update={"labels": sha256}) if one.name == recipe else one for one in wanted.recipes
    ]
    return {"recipes": [one.model_dump(mode="json", exclude_defaults=True) for one in recipes]}


def _of_chance(accuracy: float, classes: int) -> list[str]:
    """What is to be known of labels that are named little better than by guessing."""
    chance = 1 / max(1, classes)
    if classes < 2 or accuracy > chance + (1 - chance) / 4:
        return []
    return [
        f"That is little more than guessing gives ({chance:.0%}): look whether each label means one thing"
    ]


def told(found: Learned, refused: tuple[str, ...]) -> Json:
    """Of a set that names nothing yet."""
    counts, classes = found.labels.counts, list(found.confusion)
    words = [
        f"Each named by all others: {found.accuracy:.0%} are right, as the mean of {len(classes)} labels",
        *_of_chance(found.accuracy, len(classes)),
        *(f"{name}: {count} of the {LEAST} that are needed" for name, count in found.left_out.items()),
        *refused[:SAID_REFUSED],
    ]
    if len(refused) > SAID_REFUSED:
        words.append(f"and {len(refused) - SAID_REFUSED} marks more gave nothing")
    return {
        "sha256": found.labels.sha256,
        "recipe": found.labels.head.recipe,
        "rows": [
            {"label": label, "count": counts[label], "told": dict(row)}
            for label, row in found.confusion.items()
        ],
        "words": words,
    }
