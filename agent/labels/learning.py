"""A label set of a station's marks, or of a folder, as its settings and its bundle are now."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog

from agent.bundle.bundle import Bundle, open_bundle
from agent.bundle.trust import require_trusted
from agent.clock import Clock
from agent.explain.form import open_form
from agent.foreign import shown
from agent.labels import folder, gather
from agent.labels.features import open_features
from agent.labels.gather import Told, nobody_asks
from agent.labels.label_set import BeingLearnedError, LabelsError
from agent.labels.learn import Learned, learn
from agent.labels.namer import require_own
from agent.labels.shelf import Shelf, named_by
from agent.line.recipe import DEFAULT
from agent.line.recipes import Recipes
from agent.settings.settings import Settings

log = structlog.get_logger(__name__)

_TURN = threading.Lock()  # of this process's station


def bundle_of(wanted: Settings, recipe: str) -> Bundle:
    """The bundle that these settings name for a recipe. Raises BundleError, NotTrusted, LabelsError."""
    own = next((one for one in wanted.recipes if one.name == recipe), None)
    if own is None and recipe != DEFAULT:
        known = ", ".join(one.name for one in wanted.recipes) or "none"
        raise LabelsError(f"no recipe {recipe!r} in the settings; there are {known}")
    bundle = open_bundle(wanted.bundle if own is None or own.bundle is None else own.bundle)
    require_trusted(bundle, wanted.trust)
    return bundle


def learned(
    wanted: Settings,
    recipe: str,
    bundle: Bundle,
    clock: Clock,
    *,
    source: Path | None = None,
    told: Told = nobody_asks,
    threads: int = 0,
) -> tuple[Learned, tuple[str, ...]]:
    """The set of the recipe's marks, or of the pictures below `source`, and why some gave nothing.

    Nothing is kept. `told` is called after each of them; `threads` 0 takes all cores. Raises LabelsError,
    MarksError and CannotExplain.
    """
    if source is None:
        marks = gather.marked(wanted, recipe)
        assert wanted.archive.folder is not None
        features = open_features(bundle, threads=threads)
        found = gather.of_marks(marks, wanted.archive.folder, bundle, features, clock, told=told)
    else:
        labelled = folder.pictures(source)
        form, features = open_form(bundle), open_features(bundle, threads=threads)
        found = folder.of_folder(labelled, bundle, form, features, clock, told=told)
    try:
        made = learn(found.samples, recipe=recipe, bundle=bundle.manifest.name, bundle_sha256=bundle.sha256)
    except LabelsError as error:
        why = f"; {len(found.refused)} gave nothing, the first: {found.refused[0]}" if found.refused else ""
        raise LabelsError(f"{error}{why}") from error
    return made, found.refused


def learned_of(
    recipes: Recipes, recipe: str, shelf: Shelf, clock: Clock, *, before: Iterable[Mapping[str, Any]]
) -> tuple[Learned, tuple[str, ...]]:
    """Of a running station's marks, for the bundle that judges this recipe; kept, and naming nothing yet.

    Older sets make room that neither its settings name nor those `before`, which are kept for a way back.

    On one core, beside the line, and one at a time: each mark takes a fraction of a second. Raises
    LabelsError, BeingLearnedError among them, MarksError and CannotExplain.
    """
    if not _TURN.acquire(blocking=False):
        raise BeingLearnedError("labels are being learned; ask again after that")
    try:
        found, refused = learned(recipes.settings, recipe, _judging(recipes, recipe), clock, threads=1)
        shelf.put(found.labels)
        named = set().union(*map(named_by, (recipes.settings.model_dump(mode="json"), *before)))
        older_than_s = recipes.settings.archive.days * 86_400
        try:
            gone = shelf.tidy({*named, found.labels.sha256}, clock.utc_now().timestamp(), older_than_s)
        except LabelsError as error:  # what was learned is kept all the same
            return found, (*refused, str(error))
        if gone:
            log.info("label_sets_deleted", sha256=gone)
    finally:
        _TURN.release()
    return found, refused


def check_set(recipes: Recipes, recipe: str, shelf: Shelf, sha256: str) -> None:
    """Raises LabelsError for a set that cannot name defects of a running station's recipe."""
    require_own(shelf.get(sha256), _judging(recipes, recipe))


def _judging(recipes: Recipes, recipe: str) -> Bundle:
    judging = next((one for one in recipes.judging() if one.name == recipe), None)
    with recipes.bundles.held() as there:
        opened = None if judging is None else there.get(judging.bundle_sha256)
    if opened is None:
        raise LabelsError(
            f"no bundle judges parts of recipe {shown(recipe)} here; install one, or name another"
        )
    return opened.bundle
