"""What each command does: the table from its name to its doing.

The name, the arguments and the words about them stand in `agent/contract/arguments.py` and `judging.py`.
A verb that takes long is done in steps: between two of them the desk answers others, and the line may write
to the outbox. A step that yields a Progress has it told to whoever asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from agent.clock import rfc3339
from agent.contract.arguments import (
    Ack,
    Bind,
    Disable,
    Doctor,
    Enable,
    LogLevel,
    Pause,
    Ping,
    Replay,
    Resume,
    Snapshot,
    SwitchRecipe,
)
from agent.contract.commands import NotDoneError, Progress
from agent.contract.judging import Calibrate, DecideAgain, InForce, MarkResult, Threshold, WhatIf
from agent.contract.strict import Arguments
from agent.marks.file import NoRoomForMarksError
from agent.outbox.replayed import Replayed, together
from agent.remote.commands import goods, installing, snapshots, what_if
from agent.remote.commands.aside import aside
from agent.remote.commands.asked import Call, Data, Steps
from agent.remote.commands.station import Station

REPLAYED_AT_ONCE = 2000
FINDINGS = 100  # named in an answer
LOOKED_AT_ONCE = 20

Does: TypeAlias = Callable[[Station, Any, Call], Data | Steps]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """What a command does with a station, its arguments, and who asked when.

    Whatever it raises, the one who asked is told; NotDoneError has a code of its own.
    """

    does: Does

    @property
    def takes_long(self) -> bool:
        return inspect.isgeneratorfunction(self.does)

    def steps(self, station: Station, asked: Arguments, call: Call) -> Steps:
        """Do it; what does not take long is done with the first step."""
        done = self.does(station, asked, call)
        return (yield from done) if isinstance(done, Generator) else done


def ping(station: Station, asked: Ping, call: Call) -> Data:
    return {}


def replay(station: Station, asked: Replay, call: Call) -> Steps:
    """A whole range at once would hold the outbox for a second or more."""
    done: list[Replayed] = []
    for first in range(asked.from_sequence, asked.to_sequence + 1, REPLAYED_AT_ONCE):
        last = min(first + REPLAYED_AT_ONCE - 1, asked.to_sequence)
        done.append(station.outbox.replay(first, last))
        yield None
    return together(done).data()


def ack(station: Station, asked: Ack, call: Call) -> Data:
    return {"confirmed": station.outbox.confirm(asked.result_ids)}


def bind(station: Station, asked: Bind, call: Call) -> Data:
    return {"cameras": list(station.bindings.bind(asked, call.arrived_ns))}


def snapshot(station: Station, asked: Snapshot, call: Call) -> Data:
    shot = station.pictures.latest(asked.camera, station.clock.monotonic_ns())
    return snapshots.answer_of(shot, max_bytes=asked.max_bytes, clock=station.clock)


def pause(station: Station, asked: Pause, call: Call) -> Data:
    was = station.holds.paused
    hold = station.holds.pause(asked.reason, call.by(asked), call.arrived_ns)
    if was is None:
        station.tell("paused", f"the station is paused {hold.words()}", hold.data())
    return {"paused": hold.data()}


def resume(station: Station, asked: Resume, call: Call) -> Data:
    hold = station.holds.resume(call.by(asked), call.arrived_ns)
    if hold is not None:
        who = call.by(asked)
        station.tell(
            "resumed", f"the station judges again, says {who}; it was paused {hold.words()}", {"who": who}
        )
    return {"was_paused": hold is not None}


def disable(station: Station, asked: Disable, call: Call) -> Data:
    was = station.holds.disabled.get(asked.camera)
    hold = station.holds.disable(asked.camera, asked.reason, call.by(asked))
    if was is None:
        words = f"camera {asked.camera} is disabled {hold.words()}"
        station.tell("camera_disabled", words, {"camera": asked.camera, **hold.data()})
    return {"camera": asked.camera, "disabled": hold.data()}


def enable(station: Station, asked: Enable, call: Call) -> Data:
    hold, who = station.holds.enable(asked.camera, call.by(asked)), call.by(asked)
    if hold is not None:
        words = f"camera {asked.camera} is enabled by {who}; it was disabled {hold.words()}"
        station.tell("camera_enabled", words, {"camera": asked.camera, "who": who})
    return {"camera": asked.camera, "was_disabled": hold is not None}


def recipe(station: Station, asked: SwitchRecipe, call: Call) -> Data:
    if station.recipes is None:
        raise NotDoneError(
            "impossible", "this station has one recipe; name products under recipes in its settings"
        )
    if asked.recipe is not None and asked.recipe not in station.recipes.names:
        known = ", ".join(station.recipes.names)
        raise NotDoneError("not_found", f"recipe: no recipe {asked.recipe!r}; there are {known or 'none'}")
    station.recipes.switch(asked.recipe)
    data: Data = {"recipe": asked.recipe, "who": call.by(asked)}
    words = f"recipe {asked.recipe}" if asked.recipe is not None else "what the settings say"
    station.tell("recipe_switched", f"from the next part on {words} judges, says {data['who']}", data)
    return {"recipe": asked.recipe}


def mark(station: Station, asked: MarkResult, call: Call) -> Data:
    if station.marks is None:
        raise NotDoneError("impossible", "this station keeps no marks")
    try:
        made = station.marks.mark(asked, call.by(asked), "page" if call.way == "page" else asked.way)
    except NoRoomForMarksError as error:
        raise NotDoneError("no_room", str(error)) from error
    return made.data()


def calibrate(station: Station, asked: Calibrate, call: Call) -> Steps:
    if station.archive is None:
        raise NotDoneError(
            "impossible", "no frames are kept here; set archive.folder, and archive.pass_share above 0"
        )
    if asked.apply and station.settings is None:
        raise NotDoneError(
            "impossible", "this station takes no settings from afar; set trust.file, or leave apply out"
        )
    found: list[goods.Good] = []
    for number, one in enumerate(station.archive.good(asked.camera, asked.frames)):
        if one is not None:
            found.append(one)
        if number % LOOKED_AT_ONCE == 0:
            yield Progress(message=f"{len(found)} good frames were found", data={"frames": len(found)})
    if not found:
        raise NotDoneError(
            "not_found",
            "the archive has no good frame that the bundle in force has judged; raise archive.pass_share",
        )
    weighed = station.weigh(found, asked.false_reject_rate)
    if asked.apply:
        _set_threshold(station, weighed.threshold, asked, call)
    return {
        **weighed.data,
        "false_alarms": sum(one.is_false_alarm for one in found),
        "now": station.threshold(asked.camera),
        "applied": asked.apply,
    }


def in_force(station: Station, asked: InForce, call: Call) -> Data:
    return station.in_force()


def would(station: Station, asked: WhatIf, call: Call) -> Steps:
    if station.archive is None:
        raise NotDoneError("impossible", "no frames are kept here; set archive.folder")
    heads = []
    for number, one in enumerate(station.archive.results(asked.camera, asked.results)):
        if one is not None:
            heads.append(one.head)
        if number % goods.AT_ONCE == 0:
            yield Progress(message=f"{len(heads)} results were found", data={"results": len(heads)})
    found = what_if.what_if(heads, asked.threshold)
    return {
        **what_if.data(found),
        "histogram": what_if.histogram([head.score for head in heads if head.score is not None]),
        "words": list(what_if.words(found, station.archive.pass_share)),
        "now": station.threshold(asked.camera),
    }


def decide_again(station: Station, asked: DecideAgain, call: Call) -> Steps:
    """In a thread of its own, which waits for a process."""
    again, result_id = station.again, asked.result_id
    if again is None:
        raise NotDoneError(
            "impossible", "nothing is decided again here; set archive.folder, so that frames are kept"
        )
    found: list[Data] = []
    for one in aside(lambda: (again(id_) for id_ in (result_id,))):
        if one is not None:
            found.append(one)
        yield None
    return found[0]


def threshold(station: Station, asked: Threshold, call: Call) -> Data:
    was = station.in_force()
    _set_threshold(station, asked.threshold, asked, call)
    return {"threshold": asked.threshold, "was": was.get("thresholds"), "onto": was.get("settings")}


def _set_threshold(station: Station, wanted: float | None, asked: Threshold | Calibrate, call: Call) -> None:
    if station.settings is None:
        raise NotDoneError(
            "impossible", "this station takes no settings from afar; set judge.threshold in its settings file"
        )
    what = "threshold" if isinstance(asked, Threshold) else "calibrate"
    patch: Data = {"judge": {"threshold": wanted}}
    station.settings.propose(patch, call.by(asked), asked.onto, way=call.way, what=what)


def log_level(station: Station, asked: LogLevel, call: Call) -> Data:
    until = station.logs.set_level(asked.level, asked.for_s)
    return {
        "level": asked.level,
        "until": None if until is None else rfc3339(until),
        "settings": station.logs.settings_level,
    }


def doctor(station: Station, asked: Doctor, call: Call) -> Steps:
    """In a thread of its own: a check may take many seconds."""
    if station.doctor is None:
        raise NotDoneError("impossible", "this agent has none; run plumbline doctor on the machine")
    families = station.doctor.families
    if asked.family is not None and asked.family not in families:
        raise NotDoneError("bad_arguments", f"family: it is one of {', '.join(families)}")
    look, family = station.doctor.look, asked.family
    found = []
    for one in aside(lambda: look(family)):
        if one is None:
            yield None
        else:
            found.append(one)
            yield Progress(
                message=f"{one.family}: {one.check}", data={"looked_at": len(found), "finding": asdict(one)}
            )
    said = [one for one in found if one.state in ("wrong", "note")]
    told = sorted(said, key=lambda one: one.state != "wrong")[:FINDINGS]
    counts = {
        name: sum(one.state == state for one in found)
        for name, state in (("wrong", "wrong"), ("notes", "note"), ("good", "ok"), ("skipped", "skipped"))
    }
    more = {} if len(told) == len(said) else {"left_out": len(said) - len(told)}
    return {**counts, "findings": [asdict(one) for one in told], **more}


VERBS: Mapping[str, Verb] = {
    "ping": Verb(does=ping),
    "replay": Verb(does=replay),
    "ack": Verb(does=ack),
    "bind": Verb(does=bind),
    "snapshot": Verb(does=snapshot),
    "pause": Verb(does=pause),
    "resume": Verb(does=resume),
    "disable": Verb(does=disable),
    "enable": Verb(does=enable),
    "recipe": Verb(does=recipe),
    "mark": Verb(does=mark),
    "calibrate": Verb(does=calibrate),
    "in_force": Verb(does=in_force),
    "what_if": Verb(does=would),
    "decide_again": Verb(does=decide_again),
    "threshold": Verb(does=threshold),
    "install": Verb(does=installing.install),
    "rollback": Verb(does=installing.rollback),
    "cancel": Verb(does=installing.cancel),
    "log_level": Verb(does=log_level),
    "doctor": Verb(does=doctor),
}
