"""What a document, or an edit of the settings file, makes of the settings in force: pure.

The latest word counts, member by member, with one exception: what a document to this station alone set, a
document to a group does not change; the station keeps it and says so. A member that was edited on the station
gives way to the next document, which says that it took it.

A document is put onto what is in force, or onto the settings file (`onto`): then it is the whole of what is
to be different by its address, and what other addresses were told stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent.address import masked_text
from agent.contract.desired import DesiredSettings
from agent.remote.settings.desired import Flaw, Genuine
from agent.remote.settings.merge import (
    Place,
    at,
    difference,
    followed,
    is_same,
    merged,
    places,
    touches,
    without,
)
from agent.remote.settings.store import Origin, Snapshot
from agent.settings.problems import dotted
from agent.settings.reach import REMOTE_NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Settings that could be in force; places have dots."""

    snapshot: Snapshot
    overwritten: tuple[str, ...] = ()  # edits that were made on the station
    held: tuple[str, ...] = ()  # members of a group's document that the station does not take


def foreign_issuer(found: Genuine[DesiredSettings], active: Snapshot) -> Flaw | None:
    """Two who write to one address would undo each other's work for ever: each has one issuer in an epoch."""
    head = found.document
    for address, issuer, epoch in active.owners:
        if (address, epoch) == (head.address, head.epoch) and issuer != head.issuer:
            return Flaw(
                path="issuer",
                message=f"{head.address} is told what to be by {issuer}; let that one say it, or begin a new "
                "epoch of the trust file",
            )
    return None


def forbidden(patch: Mapping[str, Any], active: Snapshot) -> tuple[Flaw, ...]:
    """What no document may change, and secrets: they stand in files of the station."""
    flaws = [
        Flaw(path=dotted(place), message=f"cannot be changed from afar: {why}")
        for place in places(patch)
        for never, why in REMOTE_NEVER.items()
        if touches(place, never) and not is_same(at(patch, place), at(active.data, place))
    ]
    flaws += [
        Flaw(path=dotted(keys), message="has a login in it; secrets stand in files of the station")
        for keys, text in _texts(patch)
        if "@" in text and masked_text(text) != text
    ]
    return tuple(flaws)


def proposed(found: Genuine[DesiredSettings], active: Snapshot, *, now: str) -> Proposal:
    """What the document makes of the active settings."""
    document, patch = found.document, dict(found.document.settings)
    is_for_group = document.address.startswith("group:")
    held = [
        place
        for place in places(patch)
        if is_for_group
        and any(touches(place, one) for one in active.of_station)
        and not is_same(at(patch, place), at(active.data, place))
    ]
    layer, patch = patch, without(patch, held)  # what the station keeps now the group's may be later
    if document.onto == "last_good":
        data, set_ = merged(active.data, patch), tuple(places(patch))
        layer = followed(dict(active.layers).get(document.address, {}), layer)
    else:
        data = _onto_file(active, document.address, layer)
        set_ = (*places(patch), *places(difference(active.data, data)))
    overwritten = [
        one
        for one in active.by_hand
        if any(touches(one, place) for place in set_) and not is_same(at(data, one), at(active.data, one))
    ]
    owner = (document.address, document.issuer, document.epoch)
    return Proposal(
        snapshot=Snapshot(
            data=data,
            local=active.local,
            source="remote",
            since=now,
            origin=Origin(
                issuer=document.issuer,
                epoch=document.epoch,
                counter=document.counter,
                address=document.address,
                envelope_sha256=found.envelope_sha256,
            ),
            of_station=active.of_station if is_for_group else tuple(places(patch)),
            by_hand=tuple(one for one in active.by_hand if not any(touches(one, place) for place in set_)),
            owners=(*(one for one in active.owners if one[0] != document.address), owner),
            layers=(*(one for one in active.layers if one[0] != document.address), (document.address, layer)),
        ),
        overwritten=tuple(map(dotted, overwritten)),
        held=tuple(map(dotted, held)),
    )


def _onto_file(active: Snapshot, address: str, patch: dict[str, Any]) -> dict[str, Any]:
    """The settings file with what every address is told: groups first, the station last.

    Where the file was edited since, what other addresses were told before gives way to that.
    """
    layers = [
        (
            of,
            without(
                told, [one for one in places(told) if any(touches(one, edit) for edit in active.by_hand)]
            ),
        )
        for of, told in active.layers
        if of != address
    ]
    data = active.local
    for _, told in sorted([*layers, (address, patch)], key=lambda one: one[0].startswith("station:")):
        data = merged(data, told)
    return data


def wished(active: Snapshot, patch: Mapping[str, Any], *, now: str) -> Snapshot:
    """What somebody on the station, or who may command it, makes of the settings in force: an edit."""
    return replace(
        active,
        data=merged(active.data, dict(patch)),
        source="local",
        since=now,
        by_hand=_with(active.by_hand, tuple(places(dict(patch)))),
    )


def edited(active: Snapshot | None, local: dict[str, Any], *, now: str) -> Snapshot | None:
    """The settings file as it is now, put onto what is in force; None where it has not changed."""
    if active is None:
        return Snapshot(data=local, local=local, source="file", since=now)
    if is_same(active.local, local):
        return None
    patch = difference(active.local, local)
    was_as_written = is_same(active.data, active.local)
    return replace(
        active,
        data=local if was_as_written else merged(active.data, patch),
        local=local,
        source="local",
        since=now,
        by_hand=_with(active.by_hand, tuple(places(patch))),
    )


def reverted(active: Snapshot, wanted: Snapshot, *, now: str) -> Snapshot:
    """What was in force before, as somebody on the station wants it: an edit of every member that differs."""
    patch = difference(active.data, wanted.data)
    return replace(
        active,
        data=wanted.data,
        layers=wanted.layers,
        of_station=wanted.of_station,
        source="local",
        since=now,
        by_hand=_with(active.by_hand, tuple(places(patch))),
    )


def _with(before: tuple[Place, ...], new: tuple[Place, ...]) -> tuple[Place, ...]:
    return (*(one for one in before if not any(touches(one, place) for place in new)), *new)


def _texts(value: Any, keys: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, dict):
        for name, below in value.items():
            yield from _texts(below, (*keys, name))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _texts(below, (*keys, number))
    elif isinstance(value, str):
        yield keys, value
