"""What a start does before any bundle is loaded: the record is the intent, and the links are made to follow.

Whatever is wrong with the disk, the station starts: where the record cannot be written nothing is switched,
and a bundle on probation, whose tries could not be counted, does not serve.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from agent.clock import Clock
from agent.errors import PlumblineError
from agent.foreign import shown, stored
from agent.remote.rollout import rollout
from agent.remote.rollout.depot import Depot, DepotError
from agent.remote.rollout.rollout_file import RECORD, NotWritable, RolloutFile
from agent.remote.rollout.transaction import (
    Action,
    Breached,
    Do,
    Event,
    Happened,
    Point,
    Problem,
    Record,
    Step,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """How a start found a depot, and what is left to be done once the station runs."""

    depot: Depot
    record: Record
    held: ExitStack  # closed, it lets go of the depot
    is_held: bool = False
    serves: str | None  # the bundle to be opened; None: there is none that is whole
    is_used: bool  # whether a bundle was ever installed here
    owed: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    trouble: str | None = None  # why nothing can be written
    lost: str | None = None  # why the record that was there is a fresh one now

    @property
    def path(self) -> Path | None:
        return None if self.serves is None else self.depot.path_of(self.serves)

    @property
    def is_on_probation(self) -> bool:
        """Whether the bundle to be opened is one that can still be taken back."""
        return self.record.state == "probation" and self.serves == _target(self.record)


def begin(depot: Depot, clock: Clock, say: Callable[[str], None]) -> Begun:
    """The depot as it should be, held where a transaction goes on. Raises nothing but for a broken disk.

    `say` is told what was wrong.
    """
    is_used = os.path.lexists(depot.folder / RECORD)
    held = ExitStack()
    if not is_used:
        return Begun(depot=depot, record=Record(), held=held, serves=None, is_used=False)
    record, trouble = RolloutFile(path=depot.folder / RECORD).read()
    if trouble is not None:
        say(trouble)
    try:
        held.enter_context(depot.held())
    except DepotError as error:
        say(str(error))
        if error.code == 429:  # somebody installs by hand at this moment, and will end it
            links = depot.links()
            serves = next((one for one in (links.current, links.previous) if one in links.verified), None)
            return Begun(depot=depot, record=Record(), held=held, serves=serves, is_used=True)
        return _untouched(depot, record, held, str(error))
    try:
        links = depot.links()
        step = rollout.start(record, links, clock.boot())
        if trouble is not None:
            RolloutFile(path=depot.folder / RECORD).write(step.record)
        begun = _followed(depot, record, step, held)
    except (NotWritable, DepotError) as error:
        say(str(error))
        return _untouched(depot, record, held, str(error))
    if trouble is None and step.record.state == "idle" and links.current not in (None, begun.serves):
        trouble = f"the bundle in force, {shown(str(links.current))[:12]}, is not whole here any more; "
        trouble += "none serves" if begun.serves is None else f"the one before, {begun.serves[:12]}, serves"
        say(trouble)
    return begun if trouble is None else replace(begun, lost=trouble)


def gone_back(begun: Begun, error: PlumblineError, clock: Clock) -> Begun:
    """The bundle on probation could not even be opened: the one before it, at once."""
    assert begun.record.instruction is not None
    problem = Problem(code=500, message=stored(f"it could not be opened: {error}"))
    breached = Breached(transaction=begun.record.instruction.transaction, problem=problem)
    try:
        return _followed(begun.depot, begun.record, rollout.step(begun.record, breached), begun.held)
    except (NotWritable, DepotError) as cause:
        return _untouched(begun.depot, begun.record, begun.held, str(cause))


def _followed(depot: Depot, record: Record, step: Step, held: ExitStack) -> Begun:
    """The record, then links and leftovers. Raises NotWritable or DepotError."""
    if step.record != record:
        RolloutFile(path=depot.folder / RECORD).write(step.record)
    owed: list[Action] = []
    events: tuple[Event, ...] = ()
    for action in step.actions:
        match action:
            case Point(link=link, at=at):
                try:
                    depot.point(link, at)
                except DepotError as error:
                    if step.record.state != "rolling_back" or error.code == 507:
                        raise
                    events = (Happened(what="lost", transaction=_transaction(step.record)),)
            case Do(what="discard") if step.record.state == "idle":
                with suppress(OSError):  # it only takes room
                    depot.drop_candidate()
            case _:
                owed.append(action)
    is_held = step.record.state != "idle"
    if not is_held:
        held.close()
    current = depot.named("current")
    serves = current if current is not None and depot.fault_of(current) is None else None
    return Begun(
        depot=depot,
        record=step.record,
        held=held,
        is_held=is_held,
        serves=serves,
        is_used=True,
        owed=tuple(owed),
        events=events,
    )


def _untouched(depot: Depot, record: Record, held: ExitStack, trouble: str) -> Begun:
    """Nothing can be written: what surely is good serves, and the rest is done when the disk is mended."""
    links = depot.links()
    wanted: tuple[str | None, ...] = (links.current, links.previous)
    events: tuple[Event, ...] = ()
    if record.state in ("probation", "rolling_back"):
        wanted = (record.previous, *(one for one in wanted if one != _target(record)))
    if record.state == "idle":  # what is told is true, though it cannot be written
        record = rollout.start(record, links, record.boot_id).record
    if record.state == "probation":
        problem = Problem(code=507, message="its tries could not be counted")
        events = (Breached(transaction=_transaction(record), problem=problem),)
    return Begun(
        depot=depot,
        record=record,
        held=held,
        serves=next((one for one in wanted if one in links.verified), None),
        is_used=True,
        owed=() if events else rollout.duties(record),
        events=events,
        trouble=trouble,
    )


def _target(record: Record) -> str | None:
    return None if record.instruction is None else record.instruction.target_sha256


def _transaction(record: Record) -> str:
    return "" if record.instruction is None else record.instruction.transaction
