"""What people change from the page: one table from an act's name to its doing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import structlog
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from agent.contract.arguments import COMMANDS, CommandName, Digest, Threshold
from agent.contract.commands import NotDoneError
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.labels.label_set import LabelsError
from agent.page.control import LONGEST_MIN
from agent.page.jobs import Say, unheard
from agent.page.labels import with_labels
from agent.page.regions import with_region
from agent.page.sessions.roles import Person, may
from agent.page.sources import Json, Sources, TaughtBy, TaughtFrom, Teaching
from agent.settings.recipes import MAX_CORNERS
from agent.settings.section import Identifier

log = structlog.get_logger(__name__)

ANSWER_S = 30.0  # of a verb
LONG_S = 600.0  # of one that looks at much
LEARNING = threading.Lock()  # a fraction of a second for each mark
Least: TypeAlias = Literal["operator", "engineer"]  # a viewer changes nothing
MOST_PARTS = 5_000
MOST_NAMES = 100
PartName: TypeAlias = Annotated[str, Field(max_length=128)]
Body: TypeAlias = Mapping[str, JsonValue]
Does: TypeAlias = Callable[[Sources, Any, str], Json]


class NotAllowedError(PlumblineError):
    """Somebody's role does not reach that far."""


class Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Replay(Asked):
    """What is no id is refused before a process is begun for it."""

    result_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")


class Ignore(Asked):
    """A polygon in frame pixels, for the recipe that judged the picture it was drawn on."""

    camera: str = Field(max_length=64)
    recipe: str = Field(max_length=64)
    corners: list[
        tuple[Annotated[float, Field(ge=-1e7, le=1e7)], Annotated[float, Field(ge=-1e7, le=1e7)]]
    ] = Field(min_length=3, max_length=MAX_CORNERS)


class SetThreshold(Threshold):
    """Two people at two pages: the second is told that the first was quicker."""

    onto: Digest = Field(description="the settings that they looked at")


class Revert(Asked):
    snapshot: Digest


class LearnLabels(Asked):
    recipe: str = Field("default", max_length=64)


class UseLabels(LearnLabels):
    sha256: Digest | None = Field(description="of the set that was learned; null: defects have no labels")


class TakeControl(Asked):
    minutes: int = Field(15, ge=1, le=LONGEST_MIN)


class GiveBack(Asked):
    pass


class ByRate(Asked):
    """As `calibrate`, which changes nothing here: the threshold that it finds is set by an act of its own."""

    camera: str | None = Field(None, max_length=64)
    frames: int = Field(500, ge=20, le=5_000)
    false_reject_rate: float


class TeachBegin(Asked):
    product: Identifier
    source: TaughtFrom
    camera: str = Field("", max_length=64)
    parts: int = Field(ge=1, le=MOST_PARTS)
    target: float  # what no parts can promise is said by whoever promises
    preset: TaughtBy = ""
    minutes: float = Field(30.0, ge=1, le=10_080)  # that training may take


class TeachSort(Asked):
    take_out: list[PartName] = Field([], max_length=MOST_NAMES)
    keep: list[PartName] = Field([], max_length=MOST_NAMES)


class TeachActivate(Asked):
    """Two people at two pages: the second is told that the first was quicker."""

    onto: Digest


class Nothing(Asked):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """`does` is given what was asked and who asks; None: the desk does `verb`. `role` is the least that may.

    `changes`: not while an MES commands or somebody else has the control. `within_s`: for the desk.
    """

    asked: type[BaseModel]
    role: Least
    changes: bool
    does: Does | None = None
    verb: CommandName | None = None
    within_s: float = ANSWER_S


def replay(sources: Sources, asked: Replay, who: str) -> Json:
    if sources.behind.replay is None:
        raise NotDoneError(
            "impossible", "nothing is replayed here; set archive.folder, so that frames are kept"
        )
    return sources.behind.replay(asked.result_id)


def explain(sources: Sources, asked: Replay, who: str) -> Json:
    if sources.behind.explain is None:
        raise NotDoneError(
            "impossible", "nothing is explained here; set archive.folder, so that frames are kept"
        )
    return sources.behind.explain(asked.result_id)


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


def revert(sources: Sources, asked: Revert, who: str) -> Json:
    history = sources.behind.history
    if history is None:
        raise NotDoneError("impossible", "settings are not kept here; start the agent by `plumbline run`")
    history.revert(asked.snapshot, who)
    return {"words": "Those settings are checked, and in force as soon as that is done"}


def learn_labels(sources: Sources, asked: LearnLabels, who: str) -> Json:
    if sources.behind.learn_labels is None:
        raise NotDoneError("impossible", "labels are learned of archived pictures; set archive.folder")
    if not LEARNING.acquire(blocking=False):
        raise NotDoneError("occupied", "labels are being learned; ask again after that")
    try:
        return sources.behind.learn_labels(asked.recipe)
    except LabelsError as error:
        raise NotDoneError("impossible", str(error)) from error
    finally:
        LEARNING.release()


def use_labels(sources: Sources, asked: UseLabels, who: str) -> Json:
    change = sources.behind.change
    if change is None:
        raise NotDoneError(
            "impossible",
            "settings are not changed from here; start the agent by `plumbline run`, or set labels.set in the"
            " settings file",
        )
    if asked.sha256 is not None and sources.behind.check_labels is not None:
        try:
            sources.behind.check_labels(asked.recipe, asked.sha256)
        except LabelsError as error:
            raise NotDoneError("not_found", str(error)) from error
    change.propose(with_labels(change.in_force(), recipe=asked.recipe, sha256=asked.sha256), who)
    return {"words": "Defects get these labels once the changed settings have been checked and tried"}


def take_control(sources: Sources, asked: TakeControl, who: str) -> Json:
    if sources.behind.control is None:
        raise NotDoneError("impossible", "nobody else commands this station")
    sources.behind.control.take(who, asked.minutes)
    return sources.behind.control.told()


def give_back(sources: Sources, asked: GiveBack, who: str) -> Json:
    if sources.behind.control is None:
        raise NotDoneError("impossible", "nobody else commands this station")
    sources.behind.control.give_back(who)
    return sources.behind.control.told()


def _teaching(sources: Sources) -> Teaching:
    if sources.behind.teaching is None:
        raise NotDoneError("impossible", "nothing is taught at this station")
    return sources.behind.teaching


def teach_begin(sources: Sources, asked: TeachBegin, who: str) -> Json:
    cameras = {one.name for one in sources.shown.snapshot().cameras}
    if asked.camera and asked.camera not in cameras:
        raise NotDoneError("not_found", f"no camera {shown(asked.camera)}; there are {', '.join(cameras)}")
    _teaching(sources).begin(
        asked.product,
        asked.source,
        asked.camera,
        asked.parts,
        asked.target,
        who,
        preset=asked.preset,
        minutes=asked.minutes,
    )
    return {}


def teach_go_on(sources: Sources, asked: Nothing, who: str) -> Json:
    _teaching(sources).go_on(who)
    return {}


def teach_cancel(sources: Sources, asked: Nothing, who: str) -> Json:
    _teaching(sources).cancel(who)
    return {}


def teach_sort(sources: Sources, asked: TeachSort, who: str) -> Json:
    _teaching(sources).sort(asked.take_out, asked.keep, who)
    return {}


def teach_activate(sources: Sources, asked: TeachActivate, who: str) -> Json:
    _teaching(sources).activate(asked.onto, who)
    return {}


def of_verb(
    name: CommandName, role: Least, *, asked: type[BaseModel] | None = None, within_s: float = ANSWER_S
) -> Act:
    """What the station's desk does for everybody who may command it."""
    arguments = COMMANDS[name]
    return Act(
        asked=asked or arguments,
        role=role,
        changes=arguments.changes_station,
        verb=name,
        within_s=within_s,
    )


ACTS: Mapping[str, Act] = {
    "replay": Act(asked=Replay, does=replay, role="operator", changes=False),
    "explain": Act(asked=Replay, does=explain, role="operator", changes=False),
    "ignore": Act(asked=Ignore, does=ignore, role="engineer", changes=True),
    "mark": of_verb("mark", "operator"),
    "pause": of_verb("pause", "operator"),
    "resume": of_verb("resume", "operator"),
    "disable": of_verb("disable", "engineer"),
    "enable": of_verb("enable", "engineer"),
    "recipe": of_verb("recipe", "engineer"),
    "what_if": of_verb("what_if", "operator", within_s=LONG_S),
    "threshold": of_verb("threshold", "engineer", asked=SetThreshold),
    "calibrate": of_verb("calibrate", "engineer", asked=ByRate, within_s=LONG_S),
    "teach_begin": Act(asked=TeachBegin, does=teach_begin, role="engineer", changes=True),
    "teach_go_on": Act(asked=Nothing, does=teach_go_on, role="engineer", changes=True),
    "teach_cancel": Act(asked=Nothing, does=teach_cancel, role="engineer", changes=True),
    "teach_sort": Act(asked=TeachSort, does=teach_sort, role="engineer", changes=True),
    "teach_activate": Act(asked=TeachActivate, does=teach_activate, role="engineer", changes=True),
    "rollback": of_verb("rollback", "engineer"),
    "doctor": of_verb("doctor", "operator", within_s=LONG_S),
    "revert": Act(asked=Revert, does=revert, role="engineer", changes=True),
    "learn_labels": Act(asked=LearnLabels, does=learn_labels, role="engineer", changes=False),
    "use_labels": Act(asked=UseLabels, does=use_labels, role="engineer", changes=True),
    "take_control": Act(asked=TakeControl, does=take_control, role="operator", changes=False),
    "give_back": Act(asked=GiveBack, does=give_back, role="operator", changes=False),
}


def do(sources: Sources, name: str, body: Body, person: Person, say: Say = unheard) -> Json:
    """The one place where role and control are looked at; `say` is told how far a verb of the desk is.

    Raises NotDoneError, NotAllowedError, and more.
    """
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
    if act.changes and sources.behind.control is not None:
        sources.behind.control.require(person.name)
    log.info("page_act", act=name, who=person.name, way=person.way)
    if act.does is not None:
        return act.does(sources, asked, person.name)
    desk = sources.behind.desk
    if desk is None or act.verb is None:
        raise NotDoneError("impossible", "this station takes no commands")
    told = asked.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"who"})
    return dict(desk.ask(act.verb, told, person.name, within_s=act.within_s, say=say))
