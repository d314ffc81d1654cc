"""What people change from the page: one table from an act's name to its doing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import structlog
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from agent.contract.commands import NotDoneError
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.page.regions import with_region
from agent.page.sessions.roles import Person, may
from agent.page.sources import Json, Sources
from agent.settings.recipes import MAX_CORNERS

log = structlog.get_logger(__name__)

REPLAYING = threading.Lock()  # it takes seconds of the machine
Least: TypeAlias = Literal["operator", "engineer"]  # a viewer changes nothing
Body: TypeAlias = Mapping[str, JsonValue]
Does: TypeAlias = Callable[[Sources, Any, str], Json]


class NotAllowedError(PlumblineError):
    """Somebody's role does not reach that far."""


class Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Replay(Asked):
    result_id: str = Field(max_length=100)


class Ignore(Asked):
    """A polygon in frame pixels, for the recipe that judged the picture it was drawn on."""

    camera: str = Field(max_length=64)
    recipe: str = Field(max_length=64)
    corners: list[
        tuple[Annotated[float, Field(ge=-1e7, le=1e7)], Annotated[float, Field(ge=-1e7, le=1e7)]]
    ] = Field(min_length=3, max_length=MAX_CORNERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """`does` is given what was asked and who asks. `role` is the least that may."""

    asked: type[Asked]
    does: Does
    role: Least


def replay(sources: Sources, asked: Replay, who: str) -> Json:
    if sources.behind.replay is None:
        raise NotDoneError(
            "impossible", "nothing is replayed here; set archive.folder, so that frames are kept"
        )
    if not REPLAYING.acquire(blocking=False):
        raise NotDoneError("occupied", "another decision is being made once more; ask again after that")
    try:
        return sources.behind.replay(asked.result_id)
    finally:
        REPLAYING.release()


def ignore(sources: Sources, asked: Ignore, who: str) -> Json:
    change = sources.behind.change
    if change is None:
        raise NotDoneError(
            "impossible",
            "settings are not changed from here; start the agent by `plumbline run`, or write the region into"
            " recipes of the settings file",
        )
    patch = with_region(change.in_force(), camera=asked.camera, recipe=asked.recipe, corners=asked.corners)
    change.propose(patch, who)
    return {"words": "The region is part of the recipe once the changed settings have been checked and tried"}


ACTS: Mapping[str, Act] = {
    "replay": Act(asked=Replay, does=replay, role="operator"),
    "ignore": Act(asked=Ignore, does=ignore, role="engineer"),
}


def do(sources: Sources, name: str, body: Body, person: Person) -> Json:
    """The one place where the role is looked at. Raises NotDoneError, NotAllowedError, what the act does."""
    act = ACTS.get(name)
    if act is None:
        raise NotDoneError("unknown", f"there is no act {shown(name)}; there are {', '.join(ACTS)}")
    if not may(person.role, act.role):
        raise NotAllowedError(
            f"this takes the role {act.role}, and {shown(person.name)} is {person.role};"
            " sign in as somebody who has it"
        )
    try:
        asked = act.asked.model_validate(body, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise NotDoneError("bad_arguments", f"{shown(where)}: {first['msg']}") from None
    log.info("page_act", act=name, who=person.name, way=person.way)
    return act.does(sources, asked, person.name)
