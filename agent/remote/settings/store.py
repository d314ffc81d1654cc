"""Settings on this station's disk: what is in force, what was before, and what is on its way in.

    FOLDER/<64 hex digits>.json  a snapshot: everything that a start needs to run these settings
    FOLDER/current               link to the one that is in force
    FOLDER/previous              link to the one before
    FOLDER/candidate.json        the document that is being taken up, as it came
    FOLDER/rollout.json          the record of the rollout
    FOLDER/attempted.json        what was answered last
    FOLDER/revert                the digest of a snapshot that somebody on the station wants back

Every file is whole or not there. A snapshot that is not what was written counts as one that is not there.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter, ValidationError

from agent.durable import PRIVATE, replace_file, replace_link, sync_folder
from agent.foreign import shown
from agent.remote.rollout.rollout_file import NotWritable
from agent.remote.rollout.transaction import Link, Links
from agent.remote.settings.merge import Place
from agent.sealed import UnsealedError, seal, unseal
from agent.settings import bounded

FORMAT = "plumbline.settings-snapshot/1"
MAX_BYTES = 4_000_000
KEPT = 20  # snapshots, with those that the links name
FOLDER = "settings"
RECORD = "rollout.json"
CANDIDATE = "candidate.json"
ATTEMPTED = "attempted.json"
REVERT = "revert"

Source: TypeAlias = Literal["file", "local", "remote"]

_NAME = re.compile(r"([0-9a-f]{64})\.json")
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.EINVAL}  # also: no link


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which document settings came with."""

    issuer: str
    epoch: int
    counter: int
    address: str
    envelope_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Settings that a station can be started with, and what the next merge has to know of them."""

    data: dict[str, Any]  # as in a settings file, before overrides
    local: dict[str, Any]  # what the settings file said when these were made
    source: Source
    since: str
    origin: Origin | None = None  # the newest document in them
    of_station: tuple[Place, ...] = ()  # members that the newest document to this station alone set
    by_hand: tuple[Place, ...] = ()  # members that the file was changed in, and no document has set since
    owners: tuple[tuple[str, str, int], ...] = ()  # address, issuer, epoch: who may write to an address
    layers: tuple[tuple[str, dict[str, Any]], ...] = ()  # address, patch: all that each was told to differ by


_SNAPSHOT = TypeAdapter(Snapshot)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsStore:
    """One folder of settings."""

    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / RECORD

    def prepare(self) -> None:
        """Have the folder there, in one that is. Raises NotWritable."""
        try:
            if not self.folder.is_dir():
                self.folder.mkdir()
                sync_folder(self.folder.parent)
            for sha256 in self.snapshots():  # those of earlier versions
                self._path(sha256).chmod(self._path(sha256).stat().st_mode & PRIVATE)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def named(self, link: Link) -> str | None:
        """The digest in a link; None where there is no link of ours."""
        try:
            found = _NAME.fullmatch(str((self.folder / link).readlink()))
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise _unwritable(self.folder / link, error) from error
        return None if found is None else found[1]

    def links(self) -> Links:
        """Both links, and which of all snapshots are whole."""
        whole = frozenset(one for one in self.snapshots() if self.read(one) is not None)
        return Links(current=self.named("current"), previous=self.named("previous"), verified=whole)

    def snapshots(self) -> list[str]:
        """The digests of the snapshots here, oldest first."""
        try:
            found = [(one.lstat().st_mtime_ns, one.name) for one in self.folder.iterdir()]
        except OSError:
            return []
        return [name[1] for _, file in sorted(found) if (name := _NAME.fullmatch(file))]

    def read(self, sha256: str | None) -> Snapshot | None:
        """A snapshot; None where it is not there or not whole."""
        if sha256 is None or not _NAME.fullmatch(f"{sha256}.json"):
            return None
        try:
            data = bounded.read(self._path(sha256), max_bytes=MAX_BYTES)
            content = unseal(data, kind=FORMAT, name="snapshot")
            return _SNAPSHOT.validate_json(json.dumps(content), strict=True)
        except (bounded.UnreadableError, UnsealedError, ValidationError):
            return None

    def current(self) -> Snapshot | None:
        return self.read(self.named("current"))

    def place(self, sha256: str, snapshot: Snapshot) -> None:
        """A snapshot under its name, durable. Raises NotWritable."""
        content = _SNAPSHOT.dump_python(snapshot, mode="json")
        self._write(self._path(sha256), seal(content, kind=FORMAT, name="snapshot"))

    def point(self, link: Link, at: str | None) -> None:
        """Have a link name a snapshot, at once and for good; None removes it. Raises NotWritable."""
        path = self.folder / link
        if self.named(link) == at and (at is not None or not os.path.lexists(path)):
            return
        try:
            replace_link(path, None if at is None else f"{at}.json")
        except OSError as error:
            raise _unwritable(path, error) from error

    def put_candidate(self, envelope: bytes) -> None:
        """A document as it came, durable. Raises NotWritable."""
        self._write(self.folder / CANDIDATE, envelope)

    def candidate(self) -> bytes | None:
        try:
            return bounded.read(self.folder / CANDIDATE, max_bytes=MAX_BYTES)
        except bounded.UnreadableError:
            return None

    def drop_candidate(self) -> None:
        with suppress(OSError):
            (self.folder / CANDIDATE).unlink(missing_ok=True)

    def drop(self, sha256: str) -> None:
        """A snapshot, unless a link names it."""
        if sha256 not in (self.named("current"), self.named("previous")):
            with suppress(OSError):
                self._path(sha256).unlink(missing_ok=True)

    def clean_up(self) -> None:
        """All but the newest snapshots, and those that the links name."""
        self.drop_candidate()
        for sha256 in self.snapshots()[:-KEPT]:
            self.drop(sha256)

    def want_back(self, sha256: str) -> None:
        """Have a snapshot put in force at the next reload or start. Raises NotWritable."""
        self._write(self.folder / REVERT, sha256.encode())

    def wanted_back(self) -> Snapshot | None:
        """The one that somebody wants."""
        try:
            return self.read(bounded.read(self.folder / REVERT, max_bytes=64).decode(errors="replace"))
        except bounded.UnreadableError:
            return None

    def drop_wanted(self) -> None:
        with suppress(OSError):
            (self.folder / REVERT).unlink(missing_ok=True)

    def tell_attempted(self, attempted: Mapping[str, Any]) -> None:
        """Keep what was answered last: not synced, since nothing rests on it."""
        unfinished = self.folder / f".{ATTEMPTED}.part"
        with suppress(OSError):
            unfinished.write_bytes(json.dumps(dict(attempted)).encode())
            unfinished.replace(self.folder / ATTEMPTED)

    def attempted(self) -> dict[str, Any] | None:
        try:
            found = json.loads(bounded.read(self.folder / ATTEMPTED, max_bytes=MAX_BYTES))
        except (bounded.UnreadableError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def _path(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.json"

    def _write(self, path: Path, content: bytes) -> None:
        try:
            replace_file(path, [content], mode=PRIVATE)
        except OSError as error:
            raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> NotWritable:
    return NotWritable(
        f"{shown(str(path))}: cannot be written ({error.strerror or error}), and no settings are taken "
        "before it can be; make room, or give this user write permission to the folder"
    )
