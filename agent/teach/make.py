"""Teaching at a station, put together from its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import JsonValue

from agent.clock import Clock
from agent.line.recipes import Recipes
from agent.line.way import RightOfWay
from agent.remote.changes import ChangeFile
from agent.remote.commands.desk import Desk
from agent.remote.rollout.orders import Rollouts
from agent.teach.own import OwnBundles
from agent.teach.station import Teaching
from agent.teach.steps import Judges, Steps
from agent.teach.tap import Tap

SET_WITHIN_S = 30.0  # a threshold, from when it was asked for to when it is on its way


def make_teaching(
    folder: Path,
    *,
    tap: Tap,
    recipes: Recipes,
    engine: Callable[[], str | None],
    rollouts: Rollouts,
    desk: Desk,
    settling: Callable[[], str | None],
    changes: ChangeFile | None,
    way: RightOfWay,
    clock: Clock,
) -> Teaching:
    """In `folder`, beside the lines of `recipes`; `engine` is the one that serves, None where none does."""

    def set_threshold(threshold: float | None, onto: str, who: str) -> Mapping[str, JsonValue]:
        told: dict[str, JsonValue] = {"threshold": threshold, "onto": onto}
        return desk.ask("threshold", told, who, within_s=SET_WITHIN_S)

    def judges() -> Judges | None:
        serving = engine()
        return (
            None if serving is None else Judges(bundle_sha256=recipes.in_force.bundle_sha256, engine=serving)
        )

    own = OwnBundles(
        rollouts=lambda: rollouts,
        settings=lambda: recipes.settings,
        settings_sha256=lambda: recipes.settings.digest(),  # lines take it over at their next frame
        settling=settling,
        serves=lambda: recipes.in_force.bundle_sha256,
        set_threshold=set_threshold,
        way=way,
    )
    steps = Steps(
        tap=tap,
        settings=lambda: recipes.settings,
        judges=judges,
        activate=set_threshold,
        own=own,
        way=way,
        clock=clock,
    )
    return Teaching(folder, steps=steps, own=own, settings=lambda: recipes.settings, changes=changes)
