"""What people change from the page: one table from an act's name to its doing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import structlog
from pydantic import BaseModel, JsonValue, ValidationError

from agent.contract.arguments import COMMANDS, CommandName
from agent.contract.commands import NotDoneError
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.labels.label_set import BeingLearnedError, LabelsError
from agent.page.asked import (
    Asked,
    ByRate,
    GiveBack,
    Ignore,
    LearnLabels,
    Nothing,
    OfResult,
    Revert,
    SetThreshold,
    TakeControl,
    TeachActivate,
    TeachBegin,
    TeachSort,
    UseLabels,
)
from agent.page.jobs import Say, unheard
from agent.page.labels import with_labels
from agent.page.regions import with_region
from agent.page.sessions.roles import Person, may
from agent.page.sources import (
    Again,
    Behind,
    Change,
    Controlled,
    Desk,
    History,
    Json,
    Sources,
    Teaching,
)

log = structlog.get_logger(__name__)

ANSWER_S = 30.0  # of a verb
LONG_S = 600.0  # of one that looks at much
Least: TypeAlias = Literal["operator", "engineer"]  # a viewer changes nothing
Body: TypeAlias = Mapping[str, JsonValue]
Does: TypeAlias = Callable[[Sources, Any, str], Json]
Ready: TypeAlias = Callable[[Sources, Any], object]


class NotAllowedError(PlumblineError):
    """Somebody's role does not reach that far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """`does` is given what was asked and who asks; None: the desk does `verb`. `role` is the least that may.

    `ready` raises NotDoneError for what can be refused at once, without waiting for anything. `changes`: not
    while an MES commands or somebody else has the control. `within_s`: for the desk.
    """

    asked: type[BaseModel]
    role: Least
    changes: bool
    ready: Ready
    does: Does | None = None
    verb: CommandName | None = None
    within_s: float = ANSWER_S


def of_kept(part: Callable[[Behind], Again | None], words: str) -> Act:
    """What a process of its own makes of a result whose frame is kept; `words`: what is not done without."""

    def ready(sources: Sources, asked: OfResult) -> Again:
        found = part(sources.behind)
        if found is None:
            raise NotDoneError(
                "impossible", f"nothing is {words} here; set archive.folder, so that frames are kept"
            )
        return found

    def does(sources: Sources, asked: OfResult, who: str) -> Json:
        return ready(sources, asked)(asked.result_id)

    return Act(asked=OfResult, role="operator", changes=False, ready=ready, does=does)


def _change(sources: Sources, otherwise: str) -> Change:
    if sources.behind.change is None:
        words = f"settings are not changed from here; start the agent by `plumbline run`, or {otherwise}"
        raise NotDoneError("impossible", words)
    return sources.behind.change


def region(sources: Sources, asked: Ignore) -> tuple[Change, Mapping[str, JsonValue]]:
    change = _change(sources, "write the region into recipes of the settings file")
    patch = with_region(change.in_force(), camera=asked.camera, recipe=asked.recipe, corners=asked.corners)
    return change, patch


def ignore(sources: Sources, asked: Ignore, who: str) -> Json:
    change, patch = region(sources, asked)
    change.propose(patch, who, "ignore")
    return {"words": "The region is part of the recipe once the changed settings have been checked and tried"}


def _history(sources: Sources, asked: Revert) -> History:
    history = sources.behind.history
    if history is None:
        raise NotDoneError("impossible", "settings are not kept here; start the agent by `plumbline run`")
    return history


def revert(sources: Sources, asked: Revert, who: str) -> Json:
    _history(sources, asked).revert(asked.snapshot, who)
    return {"words": "Those settings are checked, and in force as soon as that is done"}


def _learns(sources: Sources, asked: LearnLabels) -> Callable[[str], Json]:
    learns = sources.behind.learn_labels
    if learns is None:
        raise NotDoneError("impossible", "labels are learned of archived pictures; set archive.folder")
    return learns


def learn_labels(sources: Sources, asked: LearnLabels, who: str) -> Json:
    try:
        return _learns(sources, asked)(asked.recipe)
    except BeingLearnedError as error:
        raise NotDoneError("occupied", str(error)) from error
    except LabelsError as error:
        raise NotDoneError("impossible", str(error)) from error


def labels(sources: Sources, asked: UseLabels) -> tuple[Change, Mapping[str, JsonValue]]:
    change = _change(sources, "set labels.set in the settings file")
    return change, with_labels(change.in_force(), recipe=asked.recipe, sha256=asked.sha256)


def use_labels(sources: Sources, asked: UseLabels, who: str) -> Json:
    change, patch = labels(sources, asked)
    if asked.sha256 is not None and sources.behind.check_labels is not None:
        try:
            sources.behind.check_labels(asked.recipe, asked.sha256)
        except LabelsError as error:
            raise NotDoneError("not_found", str(error)) from error
    change.propose(patch, who, "use_labels")
    return {"words": "Defects get these labels once the changed settings have been checked and tried"}


def _control(sources: Sources, asked: TakeControl | GiveBack) -> Controlled:
    if sources.behind.control is None:
        raise NotDoneError("impossible", "nobody else commands this station")
    return sources.behind.control


def take_control(sources: Sources, asked: TakeControl, who: str) -> Json:
    control = _control(sources, asked)
    control.take(who, asked.minutes)
    return control.told()


def give_back(sources: Sources, asked: GiveBack, who: str) -> Json:
    control = _control(sources, asked)
    control.give_back(who)
    return control.told()


def _teaching(sources: Sources, asked: Asked) -> Teaching:
    if sources.behind.teaching is None:
        raise NotDoneError("impossible", "nothing is taught at this station")
    return sources.behind.teaching


def teach_begin(sources: Sources, asked: TeachBegin, who: str) -> Json:
    teaching = _teaching(sources, asked)
    teaching.begin(
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
    _teaching(sources, asked).go_on(who)
    return {}


def teach_cancel(sources: Sources, asked: Nothing, who: str) -> Json:
    _teaching(sources, asked).cancel(who)
    return {}


def teach_sort(sources: Sources, asked: TeachSort, who: str) -> Json:
    _teaching(sources, asked).sort(asked.take_out, asked.keep, who, put_back=asked.put_back)
    return {}


def teach_activate(sources: Sources, asked: TeachActivate, who: str) -> Json:
    _teaching(sources, asked).activate(asked.onto, who)
    return {}


def _desk(sources: Sources, asked: BaseModel) -> Desk:
    if sources.behind.desk is None:
        raise NotDoneError("impossible", "this station takes no commands")
    return sources.behind.desk


def of_verb(
    name: CommandName, role: Least, *, asked: type[BaseModel] | None = None, within_s: float = ANSWER_S
) -> Act:
    """What the station's desk does for everybody who may command it."""
    arguments = COMMANDS[name]
    return Act(
        asked=asked or arguments,
        role=role,
        changes=arguments.changes_station,
        ready=_desk,
        verb=name,
        within_s=within_s,
    )


ACTS: Mapping[str, Act] = {
    "replay": of_kept(lambda behind: behind.replay, "replayed"),
    "explain": of_kept(lambda behind: behind.explain, "explained"),
    "ignore": Act(asked=Ignore, ready=region, does=ignore, role="engineer", changes=True),
    "mark": of_verb("mark", "operator"),
    "pause": of_verb("pause", "operator"),
    "resume": of_verb("resume", "operator"),
    "disable": of_verb("disable", "engineer"),
    "enable": of_verb("enable", "engineer"),
    "recipe": of_verb("recipe", "engineer"),
    "what_if": of_verb("what_if", "operator", within_s=LONG_S),
    "threshold": of_verb("threshold", "engineer", asked=SetThreshold),
    "calibrate": of_verb("calibrate", "engineer", asked=ByRate, within_s=LONG_S),
    "teach_begin": Act(asked=TeachBegin, ready=_teaching, does=teach_begin, role="engineer", changes=True),
    "teach_go_on": Act(asked=Nothing, ready=_teaching, does=teach_go_on, role="engineer", changes=True),
    "teach_cancel": Act(asked=Nothing, ready=_teaching, does=teach_cancel, role="engineer", changes=True),
    "teach_sort": Act(asked=TeachSort, ready=_teaching, does=teach_sort, role="engineer", changes=True),
    "teach_activate": Act(
        asked=TeachActivate, ready=_teaching, does=teach_activate, role="engineer", changes=True
    ),
    "rollback": of_verb("rollback", "engineer"),
    "doctor": of_verb("doctor", "operator", within_s=LONG_S),
    "revert": Act(asked=Revert, ready=_history, does=revert, role="engineer", changes=True),
    "learn_labels": Act(asked=LearnLabels, ready=_learns, does=learn_labels, role="engineer", changes=False),
    "use_labels": Act(asked=UseLabels, ready=labels, does=use_labels, role="engineer", changes=True),
    "take_control": Act(asked=TakeControl, ready=_control, does=take_control, role="operator", changes=False),
    "give_back": Act(asked=GiveBack, ready=_control, does=give_back, role="operator", changes=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An act that nothing speaks against, by what is known at once."""

    act: Act
    asked: Any
    who: str


def wanted(sources: Sources, name: str, body: Body, person: Person) -> Wanted:
    """The one place where role and control are looked at, before anything is begun.

    Raises NotDoneError and NotAllowedError.
    """
    act = ACTS.get(name)
    if act is None:
        raise NotDoneError("unknown", f"there is no act {shown(name)}; there are {', '.join(ACTS)}")
    if not may(person.role, act.role):
        raise NotAllowedError(
            f"this takes the role {act.role}, and {shown(person.name)} is {person.role};"
            " sign in as somebody who has it"
        )
    asked = _fitting(act.asked, body)
    if act.verb is not None:
        _fitting(COMMANDS[act.verb], _told(asked))
    if act.changes and sources.behind.control is not None:
        sources.behind.control.require(person.name)
    camera = getattr(asked, "camera", None)
    known = [one.name for one in sources.board.snapshot().cameras] if camera else []
    if camera and camera not in known:
        raise NotDoneError("not_found", f"no camera {shown(camera)}; there are {', '.join(known)}")
    act.ready(sources, asked)
    log.info("page_act", act=name, who=person.name, way=person.way)
    return Wanted(act=act, asked=asked, who=person.name)


def do(sources: Sources, one: Wanted, say: Say = unheard) -> Json:
    """`say` is told how far a verb of the desk is. Raises NotDoneError, and more."""
    act = one.act
    if act.does is not None:
        return act.does(sources, one.asked, one.who)
    assert act.verb is not None
    desk = _desk(sources, one.asked)
    return dict(desk.ask(act.verb, _told(one.asked), one.who, within_s=act.within_s, say=say))


def _told(asked: BaseModel) -> dict[str, Any]:
    return asked.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"who"})


def _fitting(model: type[BaseModel], body: Body) -> BaseModel:
    try:
        return model.model_validate_json(json.dumps(body), strict=True)  # as JSON: an array may be a tuple
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise NotDoneError("bad_arguments", f"{shown(where)}: {first['msg']}") from None
