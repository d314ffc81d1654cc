"""The label sets of a station: a folder beside the outbox, one file each, named by its digest; never changed.

Sets that settings name stay, those of settings that are kept for a way back among them. A set that none names
goes when another is learned: once it is older than what the archive keeps, or `MOST_UNNAMED` newer ones are
there that none names. A set of the last day stays: somebody may be looking at it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.durable import replace_file
from agent.foreign import shown
from agent.labels.label_set import MAX_BYTES, LabelsError, LabelSet, decoded
from agent.settings import bounded
from agent.settings.settings import Settings

SUFFIX = ".labels"
MOST_UNNAMED = 20
LOOKED_AT_S = 86_400.0
_NAME = re.compile(r"([0-9a-f]{64})\.labels")


@dataclass(frozen=True, slots=True)
class Shelf:
    """Safe from any thread and process: files come whole and stay as they are."""

    folder: Path

    def put(self, labels: LabelSet) -> Path:
        """On the disk when this returns. Raises LabelsError."""
        path = self._path(labels.sha256)
        try:
            self.folder.mkdir(exist_ok=True)
            if not path.exists():
                replace_file(path, [labels.encoded])
        except OSError as error:
            raise LabelsError(
                f"{shown(str(path))}: cannot be written ({error.strerror}); nothing was learned: see that "
                "the disk has room and the folder is the agent's"
            ) from error
        return path

    def get(self, sha256: str) -> LabelSet:
        """Raises LabelsError for one that is not here, or is not what was written."""
        path = self._path(sha256)
        if not os.path.lexists(path):
            raise LabelsError(
                f"label set {sha256[:12]} is not in {shown(str(self.folder))}; learn it here with `plumbline "
                "labels learn`, or copy its file there"
            )
        try:
            data = bounded.read(path, max_bytes=MAX_BYTES)
        except bounded.UnreadableError as error:
            raise LabelsError(f"{shown(str(path))}: cannot be read ({error}); check the file") from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise LabelsError(
                f"{shown(str(path))}: is not what was written under this name; copy it again, or learn anew"
            )
        return decoded(data, name=str(path))

    def all(self) -> Iterator[tuple[str, float]]:
        """Digest and time of writing (Unix) of each set, newest first."""
        if not self.folder.is_dir():
            return
        found = []
        for path in self.folder.iterdir():
            if (named := _NAME.fullmatch(path.name)) is not None:
                found.append((named[1], path.stat().st_mtime))
        yield from sorted(found, key=lambda one: (-one[1], one[0]))

    def tidy(self, named: Collection[str], now_s: float, older_than_s: float) -> list[str]:
        """Delete the sets that are `going`, and say which. Raises LabelsError."""
        gone = going(list(self.all()), named, now_s=now_s, older_than_s=older_than_s)
        for sha256 in gone:
            try:
                self._path(sha256).unlink(missing_ok=True)
            except OSError as error:
                raise LabelsError(
                    f"{shown(str(self._path(sha256)))}: no recipe names it and it cannot be deleted"
                    f" ({error.strerror}); see that the folder is the agent's"
                ) from error
        return gone

    def _path(self, sha256: str) -> Path:
        return self.folder / f"{sha256}{SUFFIX}"


def going(
    sets: Sequence[tuple[str, float]], named: Collection[str], *, now_s: float, older_than_s: float
) -> list[str]:
    """Of sets with their time of writing (Unix), newest first, those that make room. Pure."""
    unnamed = [(sha256, now_s - written_s) for sha256, written_s in sets if sha256 not in named]
    return [
        sha256
        for place, (sha256, age_s) in enumerate(unnamed)
        if age_s > LOOKED_AT_S and (age_s > older_than_s or place >= MOST_UNNAMED)
    ]


def named_by(data: Mapping[str, Any]) -> set[str]:
    """The sets that settings name, as they are written down."""
    labels, recipes = data.get("labels"), data.get("recipes")
    found = [labels.get("set") if isinstance(labels, Mapping) else None]
    found += [one.get("labels") for one in recipes or () if isinstance(one, Mapping)]
    return {one for one in found if isinstance(one, str)}


def shelf_of(wanted: Settings) -> Shelf:
    """Of a station with these settings."""
    return Shelf(wanted.outbox.path.with_name(f"{wanted.outbox.path.name}-labels"))
