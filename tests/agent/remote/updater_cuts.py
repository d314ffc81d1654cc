"""A running station whose process is killed, or whose power is cut, at every durable step of a rollout."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest.mock import patch

from agent.clock import ManualClock
from agent.remote.rollout.work import Call, Work
from tests.agent.remote.cuts import Disk, disks, lay_down, left
from tests.agent.remote.depots import content, served
from tests.agent.remote.rollouts import Rig, desired, signed

BUNDLES = "bundles"


class Morning(ManualClock):
    """Of one run of the machine, or of another one."""

    def __init__(self, boot: str) -> None:
        super().__init__(datetime(2026, 6, 1, tzinfo=timezone.utc), synced=True)
        self._name = boot

    def boot(self) -> str:
        return self._name


def station(folder: Path, what: str, boot: str) -> Rig:
    return Rig(folder, clock=Morning(boot), refused=(3,) if what == "refused" else ())


def carry_through(rig: Rig, document: bytes, what: str) -> None:
    """To the end, from wherever it is."""
    rig.verdicts(30)
    rig.offer(document)
    for _ in range(4):
        rig.until_state("probation", "rolling_back", "idle", "failed")
        if rig.record.state == "idle":
            return
        if rig.record.state == "rolling_back":  # verdicts count from when it judges again
            rig.until(lambda: rig.updater._duties._watching is not None or rig.record.state == "idle")
        worse = what == "breached" and rig.record.state == "probation"
        rig.verdicts(40, is_error=worse)
        rig.until_state("rolling_back", "idle") if worse else rig.until_state("idle")
        if rig.record.state == "rolling_back":
            rig.until(lambda: rig.stage.serves == rig.record.previous)


def carrying(folder: Path, document: bytes, what: str) -> Callable[[], None]:
    """A start of the station, and all of the rollout; what is done beside comes in its turn: equal steps."""

    def at_once(work: Work, name: str, duty: Call) -> None:
        duty(lambda: False)

    def call() -> None:
        with patch.object(Work, "start", at_once):
            carry_through(station(folder, what, "a"), document, what)

    return call


def after(folder: Path, document: bytes, what: str, kind: str) -> dict[str, Any]:
    """What the next start makes of it."""
    rig = station(folder, what, "a" if kind == "death" else "b")
    serves = rig.begun.serves
    begun = None if serves is None else rig.depot.open(serves).manifest.counter
    carry_through(rig, document, what)
    rig.updater.turn()
    rig.close()
    there = {one.name for one in folder.iterdir()}
    bundles = {one for one in there if len(one) == 64}
    left_over = there - bundles - {"current", "previous", "rollout.json", ".lock", ".serving"}
    return {
        "begun": begun,
        "served": served(folder),
        "outcome": rig.record.outcome,
        "bundles": len(bundles),
        "left_over": sorted(left_over),
    }


def cut_everywhere(folder: Path, source: Path, what: str, kind: str) -> list[dict[str, Any]]:
    """What each cut of a rollout into a copy of the depot left, and what the next start makes of it.

    The station is given the same document once more then.
    """
    document = signed(desired(source, 5))
    before = sorted(content(folder / BUNDLES))
    once = folder / "once"  # the depot, and what the station keeps beside it

    @functools.cache
    def ended(disk: Disk) -> dict[str, Any]:
        lay_down(disk, once)
        one = {"left": left(once / BUNDLES), "after": after(once / BUNDLES, document, what, kind)}
        return {**one, "is_as_before": sorted(content(once / BUNDLES)) == before}

    shutil.copytree(folder / BUNDLES, once / BUNDLES, symlinks=True)
    return [ended(disk) for disk in disks(once, carrying(once / BUNDLES, document, what), kind)]
