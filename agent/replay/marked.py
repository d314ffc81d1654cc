"""Marked results judged once more by another bundle, by the settings in force; nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.archive.entry import Entry
from agent.bundle.bundle import open_bundle
from agent.clock import Clock
from agent.contract.mark import Mark
from agent.engines.open import open_engine
from agent.engines.switch import Switch
from agent.line.recipe import DEFAULT, Recipe, make_recipe
from agent.remote.proof.low import NICENESS
from agent.remote.proof.marked import Again, judge_marks
from agent.replay.told import ReplayError, trusted
from agent.settings.settings import Settings


@contextmanager
def by_bundle(
    wanted: Settings, path: Path, marks: Sequence[Mark], clock: Clock
) -> Iterator[tuple[str, Iterator[Again | None]]]:
    """The bundle's digest, and each mark judged as it is asked for; from here on this process gives way.

    Raises ReplayError without an archive, BundleError, NotTrusted and EngineError.
    """
    archive = wanted.archive.folder
    if archive is None:
        raise ReplayError("archive.folder is not set, so no pictures are kept; name a folder there")
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    bundle = trusted(open_bundle(path), wanted)
    engine, switch = open_engine(bundle, wanted.engine), Switch()
    switch.serve(engine)
    of_station = [one for one in wanted.recipes if one.bundle is None] if wanted.recipes else [None]
    recipes = {
        DEFAULT if one is None else one.name: make_recipe(wanted, bundle, switch, one) for one in of_station
    }

    def recipe_of(kept: Entry) -> Recipe | None:
        return recipes.get(kept.verdict.recipe_id if wanted.recipes else DEFAULT)

    try:
        yield bundle.sha256, judge_marks(marks, archive, recipe_of, clock)
    finally:
        engine.close()
