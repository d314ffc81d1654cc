"""A trained bundle in force: by the station's own rollout, with its proof and its probation.

A threshold of the settings was set for the bundle before and would judge the new one by another measure, so
that it is taken out of the settings first; where the new bundle does not stay, it is put back. It is kept
meanwhile, so that it is known after a kill of the agent, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.contract.commands import ACCEPTED, NotDoneError
from agent.remote.rollout.orders import Rollouts
from agent.teach.state import FlowError, Told

LOOK_S = 0.25
BEGINS_S = 10.0  # in which proposed settings are under way
WHOLE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """What is looked at and asked there."""

    rollouts: Rollouts
    serves: Callable[[], str | None]  # the digest of the bundle in force
    threshold: Callable[[], float | None]  # `judge.threshold` in force
    settings: Callable[[], str]  # the digest of the settings in force
    settling: Callable[[], str | None]  # of settings that are under way
    set_threshold: Callable[[float | None, str], Mapping[str, Any]]  # onto; raises NotDoneError
    begun: Callable[[str], None] = lambda transaction: None  # which may be cancelled from now on


def adopt(
    trained: Mapping[str, Any],
    onto: str,
    station: Station,
    before: float | None,
    keep: Callable[[float | None], None],
) -> Generator[Told, None, str]:
    """Until the trained bundle has stood its probation; the digest of the settings that it left.

    `before` is the threshold that an activation took out which never came to its end; `keep` keeps it on the
    disk. Raises FlowError, NotDoneError: what served before does so again.
    """
    if station.settings() != onto:
        raise FlowError("somebody has changed the settings meanwhile; look at them, then activate")
    sha256, was = trained["sha256"], before
    try:
        if station.serves() != sha256:
            there = station.threshold()
            if there is not None:
                was = there
                keep(was)
                yield from _threshold(None, station)
                onto = station.settings()
            yield from _installed(trained, station)
        while station.rollouts.is_on_probation():  # begun before the agent's last start
            yield _far(WHOLE, "the bundle is on probation")
            time.sleep(LOOK_S)
        if station.serves() != sha256:
            raise FlowError("the bundle was taken back; the view Model and settings says why")
    except (FlowError, NotDoneError) as error:
        if was is None:
            raise
        try:
            yield from _put_back(was, station)
        except (FlowError, NotDoneError):
            raise FlowError(f"{error}; judge.threshold was {was:.5g} before: set it again") from error
        keep(None)
        raise
    return onto


def _threshold(wanted: float | None, station: Station) -> Iterator[Told]:
    """Of the settings, once they are in force and settled."""
    station.set_threshold(wanted, station.settings())
    for _ in range(round(BEGINS_S / LOOK_S)):
        if station.settling() is not None or station.threshold() == wanted:
            break
        time.sleep(LOOK_S)
        yield _far(0, "the threshold of the bundle before is taken out of the settings")
    while station.settling() is not None:
        time.sleep(LOOK_S)
        yield _far(0, "settings without the threshold of the bundle before are on probation")
    if station.threshold() != wanted:
        raise FlowError("judge.threshold could not be changed; the view Model and settings says why")


def _put_back(was: float, station: Station) -> Iterator[Told]:
    """Unless somebody has set another one meanwhile."""
    while station.settling() is not None:
        time.sleep(LOOK_S)
        yield _far(0, "settings without the threshold of the bundle before are on probation")
    if station.threshold() is None:
        yield from _threshold(was, station)


def _installed(trained: Mapping[str, Any], station: Station) -> Iterator[Told]:
    said = station.rollouts.adopt(Path(trained["bundle"]), trained["sha256"])
    if said.code not in (200, ACCEPTED):
        raise FlowError(f"the bundle is not taken: {said.message}")
    if said.transaction is None:
        return
    station.begun(said.transaction)
    while (standing := station.rollouts.standing(said.transaction)) is not None and not standing.is_over:
        done = 0 if standing.share is None else round(WHOLE * standing.share)
        state = standing.state.replace("_", " ")
        more = "" if standing.message == state else f": {standing.message}"
        yield _far(done, f"the bundle is {state}{more}")
        time.sleep(LOOK_S)
    if standing is not None and standing.state not in ("applied", "unchanged"):
        raise FlowError(f"the bundle does not stay: {standing.message}")


def _far(done: int, words: str) -> Told:
    return Told(step="activate", done=done, of=WHOLE, words=words)
