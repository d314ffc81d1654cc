"""A rollout by stick: the same documents, counted like any, in a folder in place of the broker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from agent.clock import rfc3339
from agent.foreign import shown
from models.fleet.documents import Content, envelope, load_patch, require_allowed
from models.fleet.inventory import Target, groups_of, stations_of
from models.fleet.office import Room, bundle_content
from models.fleet.plan import Kind
from models.fleet.stick import BUNDLES, with_folder, write_bundle, write_documents


def exported(
    room: Room,
    folder: Path,
    to: Sequence[str],
    *,
    patch: Path | None,
    bundle: Path | None,
    at_once: bool,
) -> list[str]:
    """What was written, in lines for people. The ledger is held. Raises PlumblineError."""
    chosen = groups_of if at_once else stations_of
    targets = chosen(room.inventory, to)
    contents: dict[Kind, Content] = {}
    if patch is not None:
        contents["settings"] = load_patch(patch)
    told = []
    if bundle is not None:
        content, opened = bundle_content(
            bundle,
            [BUNDLES],  # its place is known when it is open
            room.trust,
            name=shown(str(room.inventory.trust)),
            is_served=False,
            boundary="frame",
        )
        contents["bundle"] = with_folder(content, opened.sha256)
        told.append(f"{write_bundle(folder, opened)}: {opened.manifest.name} {opened.sha256[:12]}")
    for kind, content in contents.items():
        counter = room.ledger.reserve(room.inventory.issuer, room.trust.epoch)
        write_documents(folder, _signed(room, kind, content, targets, counter))
        told.append(
            f"{folder}: {kind} for {len(targets)} {'groups' if at_once else 'stations'}, counter {counter}"
        )
    return told


def _signed(
    room: Room, kind: Kind, content: Content, targets: Sequence[Target], counter: int
) -> dict[str, bytes]:
    """By topic; all are signed, and would be taken, before the first is written."""
    expires = rfc3339(room.clock.utc_now() + timedelta(days=room.inventory.rollout.expires_days))
    found = {}
    for target in targets:
        data = envelope(
            kind,
            content,
            issuer=room.inventory.issuer,
            epoch=room.trust.epoch,
            counter=counter,
            address=target.address,
            expires=expires,
            keys=room.keys,
        )
        require_allowed(data, kind, room.trust, name=shown(str(room.inventory.trust)))
        found[target.topic(kind)] = data
    return found
