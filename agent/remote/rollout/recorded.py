"""Each change of the bundle that serves, in the record of changes: who wanted it, and what served before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agent.foreign import stored
from agent.remote.changes import ChangeFile, Outcome, Way
from agent.remote.rollout.offers import ISSUER
from agent.remote.rollout.transaction import Instruction, Record

WHAT = "bundle"
LOOKED_BACK = 2_000  # records, for the bundle that served when the process before ended


class Recorded(Protocol):
    """Neither raises: what is done holds, recorded or not."""

    def serves(self, sha256: str) -> None:
        """A station begins with this bundle, and no rollout of it is under way."""

    def ended(self, new: Instruction, record: Record) -> None:
        """A transaction is committed or has failed."""


class Unrecorded:
    def serves(self, sha256: str) -> None:
        return

    def ended(self, new: Instruction, record: Record) -> None:
        return


UNRECORDED = Unrecorded()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    who: str
    way: Way
    outcome: Outcome
    wanted: Mapping[str, Any]
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class BundleRecord:
    """For one thread."""

    def __init__(self, changes: ChangeFile) -> None:
        self._changes = changes

    def serves(self, sha256: str) -> None:
        last = self._last()
        if sha256 != last:
            self._changes.note(
                who="whoever installs bundles by hand",
                way="file",
                what=WHAT,
                wanted={} if last is not None else {"first": True},
                before={} if last is None else {"sha256": last},
                after={"sha256": sha256},
            )

    def ended(self, new: Instruction, record: Record) -> None:
        found = ended(new, record)
        self._changes.note(
            who=found.who,
            way=found.way,
            what=WHAT,
            outcome=found.outcome,
            wanted=found.wanted,
            before=found.before,
            after=found.after,
        )

    def _last(self) -> str | None:
        told = (one.after.get("sha256") for one in self._changes.last(LOOKED_BACK) if one.what == WHAT)
        return next((one for one in told if isinstance(one, str)), None)


def ended(new: Instruction, record: Record) -> Ended:
    """A document is its issuer's. What was taken back is the station's doing; so is a way back that somebody
    asked for, whose command has a record of its own.
    """
    wanted = {"bundle": stored(new.target_id), "sha256": new.target_sha256, "counter": new.counter}
    why = [stored(one.message) for one in record.errors[-1:]]
    is_own = new.is_by(ISSUER)
    who = "plumbline" if is_own else stored(new.issuer)
    way: Way = "station" if is_own else "document"
    was = {} if record.previous is None else {"sha256": record.previous}
    target = {"sha256": new.target_sha256}
    match record.outcome:
        case "applied":
            return Ended(who=who, way=way, outcome="done", wanted=wanted, before=was, after=target)
        case "rolled_back" | "unable_to_roll_back":
            told = {**wanted, "why": why[0] if why else "no reason was given"}
            after = was if record.outcome == "rolled_back" else {}
            return Ended(
                who="plumbline", way="station", outcome="done", wanted=told, before=target, after=after
            )
        case _:
            told = {**wanted, "why": why[0] if why else record.outcome or "no reason was given"}
            return Ended(who=who, way=way, outcome="failed", wanted=told, before={}, after={})
