"""What a fleet's office remembers: counters, rollouts, and what it issued. One process at a time has it.

    STATE/counters.json          {issuer: {epoch: highest counter that may have been used}}
    STATE/rollouts/ID.json       the record of each rollout; the ids sort by time
    STATE/contents/SHA256.json   what documents said, by digest
    STATE/.lock                  held by who is at it

Each file is replaced whole, and is on the disk when a call returns. A counter is written before it is used.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agent.contract.strict_json import LARGEST_INTEGER
from agent.durable import PRIVATE, replace_file, sync_folder
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.sealed import UnsealedError, seal, unseal
from agent.settings import bounded
from models.fleet.documents import Content, canonical, digest
from models.fleet.plan import Kind, Record

FORMAT = "plumbline.fleet/1"
MAX_BYTES = 64_000_000
_ID = re.compile(r"[0-9a-f-]{36}")
_RECORD = TypeAdapter(Record)


class LedgerError(PlumblineError):
    """The folder cannot be used; says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The folder at `folder`."""

    folder: Path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else changes it in the block. Raises LedgerError."""
        try:
            for one in (self.folder, self.folder / "rollouts", self.folder / "contents"):
                one.mkdir(parents=True, exist_ok=True)
            sync_folder(self.folder)
            with (self.folder / ".lock").open("a+", encoding="ascii") as lock:
                _take(lock.fileno(), self.folder / ".lock")
                lock.truncate(0)
                lock.write(f"{os.getpid()}\n")
                lock.flush()
                yield
        except OSError as error:
            raise _explained(self.folder, error) from error

    def highest(self, issuer: str, epoch: int) -> int:
        """The highest counter that may have been used; 0 where none was. Raises LedgerError."""
        found = self._counters().get(issuer, {}).get(str(epoch), 0)
        if not isinstance(found, int) or not 0 <= found <= LARGEST_INTEGER:
            raise LedgerError(f"{self._counters_path}: {issuer}, epoch {epoch}: no counter; restore the file")
        return found

    def reserve(self, issuer: str, epoch: int, *, above: int = 0) -> int:
        """A counter that was never used, and will not be given again. Raises LedgerError."""
        counters = self._counters()
        counter = max(self.highest(issuer, epoch), above) + 1
        if counter > LARGEST_INTEGER:
            raise LedgerError(
                f"{issuer}: epoch {epoch} has no counter left; begin another with "
                "plumbline-lab keys rotate --new-epoch"
            )
        counters.setdefault(issuer, {})[str(epoch)] = counter
        self._keep(self._counters_path, counters)
        return counter

    def put(self, content: Content) -> str:
        """Its digest. Raises LedgerError."""
        name = digest(content)
        path = self.folder / "contents" / f"{name}.json"
        if not path.exists():
            self._replace(path, canonical(content))
        return name

    def content(self, name: str) -> Content:
        """Raises LedgerError."""
        path = self.folder / "contents" / f"{name}.json"
        data = _read(path)
        if hashlib.sha256(data).hexdigest() != name:
            raise LedgerError(f"{shown(str(path))}: is not what was written; restore the folder from a copy")
        content: Content = json.loads(data)
        return content

    def write(self, record: Record) -> None:
        """Durable when this returns. Raises LedgerError, and then nothing of it may be said."""
        self._keep(self.folder / "rollouts" / f"{record.id}.json", _RECORD.dump_python(record, mode="json"))

    def rollouts(self) -> Iterator[Record]:
        """The newest first. Raises LedgerError."""
        folder = self.folder / "rollouts"
        try:
            names = sorted((one.name for one in folder.iterdir()), reverse=True) if folder.exists() else []
        except OSError as error:
            raise _explained(folder, error) from error
        for name in names:
            if _ID.fullmatch(name.removesuffix(".json")):
                yield self._record(folder / name)

    def latest(self) -> Record | None:
        """Raises LedgerError."""
        return next(self.rollouts(), None)

    def issued(self, address: str, kind: Kind, issuer: str, epoch: int, counter: int) -> str | None:
        """The digest of what was issued to an address under a counter. Raises LedgerError."""
        for record in self.rollouts():
            if (record.kind, record.issuer, record.epoch) != (kind, issuer, epoch):
                continue
            for one in record.members:
                for word in one.words:
                    if (one.address, word.counter) == (address, counter) and word.what != "nothing":
                        return record.content if word.what == "new" else one.before
        return None

    def issued_bundle(self, sha256: str) -> str | None:
        """The digest of the newest content that has this bundle as its target. Raises LedgerError."""
        for record in self.rollouts():
            if record.kind == "bundle" and record.identity == sha256:
                return record.content
        return None

    @property
    def _counters_path(self) -> Path:
        return self.folder / "counters.json"

    def _counters(self) -> dict[str, dict[str, int]]:
        if not os.path.lexists(self._counters_path):
            return {}
        found = _kept(self._counters_path)
        if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
            raise _not_ours(self._counters_path)
        return found

    def _record(self, path: Path) -> Record:
        try:
            return _RECORD.validate_json(json.dumps(_kept(path)), strict=True)
        except ValidationError as error:
            raise _not_ours(path) from error

    def _keep(self, path: Path, content: Any) -> None:
        self._replace(path, seal(content, kind=FORMAT, name="content"))

    def _replace(self, path: Path, data: bytes) -> None:
        try:
            replace_file(path, [data], mode=PRIVATE)
        except OSError as error:
            raise _explained(path, error) from error


def _kept(path: Path) -> Any:
    data = _read(path)
    try:
        return unseal(data, kind=FORMAT, name="content")
    except UnsealedError as error:
        raise _not_ours(path) from error


def _not_ours(path: Path) -> LedgerError:
    return LedgerError(
        f"{shown(str(path))}: is not what was written; restore the folder from a copy, since stations refuse "
        "a counter that was used before"
    )


def _read(path: Path) -> bytes:
    try:
        return bounded.read(path, max_bytes=MAX_BYTES)
    except bounded.UnreadableError as error:
        raise LedgerError(f"{shown(str(path))}: not read: {error}; restore the folder from a copy") from error


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = path.read_text(encoding="ascii").strip() or "another"
        raise LedgerError(f"{shown(str(path))}: process {owner} is at it; wait until it has ended") from None


def _explained(path: Path, error: OSError) -> LedgerError:
    return LedgerError(
        f"{shown(str(path))}: {error.strerror or error}, and nothing is published before it can be written; "
        "make room, or give this user write permission"
    )
