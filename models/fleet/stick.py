"""A fleet without a network: the same signed files in a folder, such as one on a stick, and reports back.

The folder looks as the topics do:

    DIR/plumbline/v1/SITE/AREA/LINE/STATION/config/desired.json     an envelope, as it would be published
    DIR/plumbline/v1/SITE/AREA/LINE/STATION/bundle/desired.json
    DIR/plumbline/v1/groups/GROUP/config/desired.json, .../bundle/desired.json
    DIR/bundles/SHA256/                                             a bundle, by the digest of its manifest
    DIR/plumbline/v1/SITE/AREA/LINE/STATION/config/reported.json    what a station has written there

A source {"kind": "folder", "path": "bundles/SHA256"} in a document from there is looked for in DIR.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.bundle.bundle import Bundle, write_files
from agent.durable import replace_file
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings import bounded
from models.fleet.documents import Content
from models.fleet.hall import Hall

MAX_REPORT_BYTES = 262_144
BUNDLES = "bundles"


class StickError(PlumblineError):
    """The folder cannot be written or read; says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What was read back."""

    reports: int
    unread: tuple[str, ...]  # files that are no reports, and why


def with_folder(content: Content, sha256: str) -> Content:
    """The content of a bundle document whose bytes lie beside it."""
    return {**content, "sources": [{"kind": "folder", "path": f"{BUNDLES}/{sha256}"}]}


def place_of(folder: Path, topic: str) -> Path:
    return folder / f"{topic}.json"


def write_documents(folder: Path, documents: Mapping[str, bytes]) -> None:
    """Each by its topic; one that is there is replaced. Raises StickError."""
    for topic, data in documents.items():
        path = place_of(folder, topic)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, [data])
        except OSError as error:
            raise StickError(
                f"{shown(str(path))}: not written: {error.strerror or error}; see that the stick is there "
                "and has room"
            ) from error


def write_bundle(folder: Path, bundle: Bundle) -> Path:
    """The bundle in its place; one that is there already is left. Raises StickError and BundleError."""
    path = folder / BUNDLES / bundle.sha256
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StickError(f"{shown(str(path))}: not written: {error.strerror or error}") from error
    if not os.path.lexists(path):
        write_files(path, bundle.files)
    return path


def read_reports(folder: Path, hall: Hall, now: float) -> Brought:
    """What stations wrote there, as if they had said it. Raises StickError."""
    if not folder.is_dir():
        raise StickError(f"{shown(str(folder))}: no such folder; name the one that came back from the plant")
    reports, unread = 0, []
    for station in hall.inventory.stations:
        path = place_of(folder, station.topics.reported())
        if not os.path.lexists(path):
            continue
        try:
            data = bounded.read(path, max_bytes=MAX_REPORT_BYTES)
        except bounded.UnreadableError as error:
            unread.append(f"{shown(str(path))}: {error}")
            continue
        hall.note(station.topics.reported(), data, now)
        if hall.stations[station.address].report is None:
            unread.append(f"{shown(str(path))}: no report of {station.address}")
        else:
            reports += 1
    return Brought(reports=reports, unread=tuple(unread))
