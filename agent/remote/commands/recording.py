"""Which commands leave a record, and how the station stood before and after them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

import structlog
from pydantic import JsonValue

from agent.contract.arguments import Bind
from agent.contract.judging import Calibrate, Threshold
from agent.contract.strict import Arguments
from agent.foreign import shown
from agent.remote.changes import ChangeFile, Outcome
from agent.remote.commands.asked import NOBODY
from agent.remote.commands.lanes import AtHand, Here
from agent.remote.commands.station import Station

Standing: TypeAlias = Mapping[str, JsonValue]

log = structlog.get_logger(__name__)


class Recorded(Protocol):
    """Neither raises: what is done holds, recorded or not."""

    def before(self, asked: Arguments, station: Station) -> Standing:
        """How the station stands; empty for what does not change it."""

    def ended(self, at_hand: AtHand, station: Station, outcome: Outcome) -> None: ...


class Unrecorded:
    def before(self, asked: Arguments, station: Station) -> Standing:
        return {}

    def ended(self, at_hand: AtHand, station: Station, outcome: Outcome) -> None:
        return


UNRECORDED = Unrecorded()


class CommandRecord:
    """Into the record of changes; what changes settings stands there by itself, with what came of it."""

    def __init__(self, changes: ChangeFile) -> None:
        self._changes = changes

    def before(self, asked: Arguments, station: Station) -> Standing:
        return _standing(station) if _is_told(asked) else {}

    def ended(self, at_hand: AtHand, station: Station, outcome: Outcome) -> None:
        command = at_hand.accepted.command
        if not _is_told(command.arguments):
            return
        stands = {} if outcome == "begun" else _standing(station)
        names = [name for name, value in stands.items() if at_hand.before.get(name) != value]
        self._changes.note(
            who=at_hand.by or NOBODY,
            way="page" if isinstance(at_hand.taken, Here) else "command",
            what=command.name,
            outcome=outcome,
            wanted=command.arguments.model_dump(
                mode="json", exclude={"who"}, exclude_unset=True, by_alias=True
            ),
            before={name: at_hand.before.get(name) for name in names},
            after={name: stands[name] for name in names},
        )


def _is_told(asked: Arguments) -> bool:
    return asked.changes_station and not isinstance(asked, (Threshold, Calibrate))


def commands_station(asked: Arguments) -> bool:
    """Whether who sends it has the station in hand: also by saying which product comes next."""
    return asked.changes_station or (isinstance(asked, Bind) and "product" in asked.model_fields_set)


def _standing(station: Station) -> Standing:
    """Empty where nobody can tell."""
    try:
        return _stands(station)
    except Exception as error:
        log.error("standing_not_told", reason=shown(str(error))[:200])
        return {}


def _stands(station: Station) -> Standing:
    paused = station.holds.paused
    return {
        "paused": None if paused is None else paused.model_dump(mode="json"),
        "disabled": {name: hold.model_dump(mode="json") for name, hold in station.holds.disabled.items()},
        **station.in_force(),
    }
