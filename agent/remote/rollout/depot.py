"""Bundles on this station's disk: what serves, what served before, and what is on its way in.

    FOLDER/<sha256>/      a bundle, under the digest of its manifest; it may get a signature later
    FOLDER/current        link to the one that serves
    FOLDER/previous       link to the one that served before
    FOLDER/.candidate/    one that is being copied and not yet verified
    FOLDER/rollout.json   the record of the rollout
    FOLDER/.serving       digests of what the running station has open, which is never cleaned up
    FOLDER/.lock          held by who changes any of it

Names change by rename, and are on the disk when a call returns. Everything else in the folder is somebody
else's and is left alone.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.bundle.bundle import SIGNATURE, Bundle, Manifest, open_bundle, read_head
from agent.bundle.files import MAX_FILE_BYTES, MAX_TOTAL_BYTES, is_inside, open_files
from agent.durable import replace_file, replace_link, sync_file, sync_folder, write_file
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.remote.rollout.transaction import Link, Links
from agent.settings import bounded
from agent.users import user_name

CURRENT = "current"
CANDIDATE = ".candidate"
LOCK = ".lock"
SERVING = ".serving"
_MAX_SERVING_BYTES = 65_536
_NAME = re.compile(r"[0-9a-f]{64}")
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.EINVAL}  # also: no link
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class DepotError(PlumblineError):
    """A bundle cannot be kept here; says where and why. `code` is that of the rollout."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Depot:
    """One folder of bundles."""

    folder: Path
    is_of_station: bool = False  # that runs; a remedy is another one for whoever stands at a terminal

    @property
    def candidate(self) -> Path:
        return self.folder / CANDIDATE

    def path_of(self, sha256: str) -> Path:
        return self.folder / sha256

    def is_own(self, path: Path) -> bool:
        """Whether it was installed here, by its name."""
        return _NAME.fullmatch(path.name) is not None and os.path.lexists(self.folder / CURRENT)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The folder is there, and nobody else changes it in the block. Raises DepotError."""
        nearest = next(one for one in (self.folder, *self.folder.parents) if os.path.lexists(one))
        if nearest.stat().st_uid != os.geteuid():
            owner, user = user_name(nearest.stat().st_uid), user_name(os.geteuid())
            place = shown(str(self.folder))
            remedy = f"run it as {owner}: sudo -u {owner} plumbline bundle ..."
            if self.is_of_station:
                remedy = f"give it away: sudo chown -R {user} {place}; or run the service as {owner}"
            raise DepotError(
                f"{place}: {shown(str(nearest))} belongs to {owner} and this is {user}; {remedy}", 507
            )
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(parents=True)
                sync_folder(self.folder.parent)
            with (self.folder / LOCK).open("a+", encoding="ascii") as lock:
                _take(lock.fileno(), self.folder / LOCK)
                lock.truncate(0)
                lock.write(f"{os.getpid()}\n")
                lock.flush()
                yield
        except OSError as error:
            raise explained(self.folder, error) from error

    def named(self, link: Link) -> str | None:
        """The digest in a link; None where there is no link of ours. Raises DepotError."""
        try:
            name = str((self.folder / link).readlink())
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise explained(self.folder / link, error) from error
        return name if _NAME.fullmatch(name) else None

    def check_links(self) -> None:
        """Raises DepotError where something else stands in the place of a link."""
        for path in (self.folder / CURRENT, self.folder / "previous"):
            if os.path.lexists(path) and not path.is_symlink():
                raise DepotError(f"{shown(str(path))}: is no link of ours; move it away", 507)

    def links(self) -> Links:
        """Both links, and which of all bundles are whole; reads every byte of them.

        A `current` that leads nowhere counts as naming a bundle that is not whole.
        """
        current = self.named("current") or self._astray(self.folder / CURRENT)
        previous = self.named("previous")
        verified = frozenset(one for one in self.bundles() if self.fault_of(one) is None)
        return Links(current=current, previous=previous, verified=verified)

    def _astray(self, link: Path) -> str | None:
        return str(link.readlink()) if link.is_symlink() and not link.exists() else None

    def serving(self) -> frozenset[str]:
        """What a running station said last that it has open; nothing where that cannot be read."""
        try:
            said = bounded.read(self.folder / SERVING, max_bytes=_MAX_SERVING_BYTES)
        except bounded.UnreadableError:
            return frozenset()
        return frozenset(one for one in said.decode("ascii", "replace").split() if _NAME.fullmatch(one))

    def note_serving(self, digests: frozenset[str]) -> None:
        """Keep these from being cleaned up, whoever installs meanwhile. Raises DepotError."""
        if digests == self.serving() and (digests or not os.path.lexists(self.folder / SERVING)):
            return
        try:
            replace_file(self.folder / SERVING, [f"{one}\n".encode() for one in sorted(digests)])
        except OSError as error:
            raise explained(self.folder / SERVING, error) from error

    def bundles(self) -> list[str]:
        """The digests that folders here are named by. Raises DepotError."""
        try:
            return sorted(one.name for one in self.folder.iterdir() if _NAME.fullmatch(one.name))
        except OSError as error:
            if error.errno in _NOT_THERE:
                return []
            raise explained(self.folder, error) from error

    def fault_of(self, sha256: str) -> str | None:
        """Why a bundle here is not whole; None when it is."""
        try:
            self.open(sha256)
        except PlumblineError as error:
            return str(error)
        return None

    def head_of(self, sha256: str) -> Manifest | None:
        """What its manifest says, whole or not; None where that cannot be read."""
        try:
            with open_files(self.path_of(sha256)) as there:
                return read_head(there, self.path_of(sha256)).manifest
        except PlumblineError:
            return None

    def open(self, sha256: str) -> Bundle:
        """A bundle that is whole. Raises PlumblineError."""
        return _opened(self.path_of(sha256), sha256)

    def open_candidate(self, sha256: str) -> Bundle:
        """The one that was copied. Raises PlumblineError when it is not whole, or another."""
        return _opened(self.candidate, sha256)

    def has_room(self, size: int, *, kept_free: int) -> bool:
        """Whether so many bytes fit, with so many left for others."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize >= size + kept_free

    def begin(self) -> None:
        """An empty candidate, whatever was left of another one. Raises DepotError."""
        try:
            self.drop_candidate()
            self.candidate.mkdir()
        except OSError as error:
            raise explained(self.candidate, error) from error

    def go_on(self) -> None:
        """The candidate as far as it is there. Raises DepotError."""
        try:
            if not self.candidate.is_dir():
                self.candidate.mkdir()
        except OSError as error:
            raise explained(self.candidate, error) from error

    def candidate_sizes(self) -> dict[str, int]:
        """Bytes of every file of the candidate, by its name in the bundle."""
        found = (Path(folder) / name for folder, _, names in os.walk(self.candidate) for name in names)
        return {path.relative_to(self.candidate).as_posix(): path.lstat().st_size for path in found}

    def candidate_file(self, name: str) -> Path:
        """Where a file of the candidate belongs; the folders above it are there. Raises DepotError."""
        if not is_inside(name):
            place = f"{shown(str(self.candidate))}/{shown(name)}"
            raise DepotError(f"{place}: a name that could lead out of the bundle; make it again", 422)
        try:
            folder = self.candidate
            for part in name.split("/")[:-1]:
                folder /= part
                if not folder.is_dir():
                    folder.mkdir()
        except OSError as error:
            raise explained(folder, error) from error
        return self.candidate / name

    def put(self, name: str, pieces: Iterable[bytes], *, sha256: str | None, size: int) -> None:
        """One file of the candidate, its digest taken while it is copied; `sha256` is what it has to be.

        Raises DepotError, and what `pieces` raises.
        """
        place, path = f"{shown(str(self.candidate))}/{shown(name)}", self.candidate_file(name)
        if size > MAX_FILE_BYTES or size + sum(self.candidate_sizes().values()) > MAX_TOTAL_BYTES:
            raise DepotError(f"{place}: {size} bytes are too many for a bundle", 413)
        digest, found = hashlib.sha256(), 0

        def counted() -> Iterator[bytes]:
            nonlocal found
            for piece in pieces:
                found += len(piece)
                if found > size:
                    raise DepotError(f"{place}: more than the {size} bytes it was to have", 413)
                digest.update(piece)
                yield piece

        try:
            write_file(path, counted())
        except OSError as error:
            raise explained(path, error) from error
        if found != size or sha256 not in (None, digest.hexdigest()):
            raise DepotError(
                f"{place}: {found} bytes of another digest than the manifest's; copy it again", 422
            )

    def sync_candidate(self) -> None:
        """Its files and their names stay as they are now, whoever wrote them. Raises DepotError."""
        try:
            for folder, _, names in os.walk(self.candidate):
                for name in names:
                    sync_file(Path(folder) / name)
            self._sync_names()
        except OSError as error:
            raise explained(self.candidate, error) from error

    def _sync_names(self) -> None:
        for folder, _, _ in os.walk(self.candidate, topdown=False):
            sync_folder(Path(folder))
        sync_folder(self.folder)

    def place(self, sha256: str) -> None:
        """Give the candidate, whose files were synced and verified, its name. Raises DepotError."""
        if not self.candidate.is_dir():
            return
        target = self.path_of(sha256)
        try:
            if os.path.lexists(target):
                if self.fault_of(sha256) is None:
                    self.drop_candidate()
                    return
                _remove(target)
            self._sync_names()
            self.candidate.rename(target)
            sync_folder(self.folder)
        except OSError as error:
            raise explained(target, error) from error

    def point(self, link: Link, at: str | None) -> None:
        """Have a link name a bundle, at once and for good; None removes it.

        Raises DepotError, also for a bundle that is not whole: none of those is ever in force.
        """
        if link == "current" and at is not None and (fault := self.fault_of(at)) is not None:
            raise DepotError(fault, 422)
        path = self.folder / link
        try:
            if self.named(link) == at and (at is not None or not os.path.lexists(path)):
                return
            if os.path.lexists(path) and not path.is_symlink():
                raise DepotError(f"{shown(str(path))}: is no link of ours; move it away", 507)
            replace_link(path, at)
        except OSError as error:
            raise explained(path, error) from error

    def take_signature(self, sha256: str, signature: bytes) -> None:
        """Another one for a bundle that is here; the manifest that it signs stays. Raises OSError."""
        unfinished = self.folder / f".{SIGNATURE}.part"
        write_file(unfinished, [signature])
        unfinished.replace(self.path_of(sha256) / SIGNATURE)
        sync_folder(self.path_of(sha256))

    def drop_candidate(self) -> None:
        """What was copied, gone. Raises OSError."""
        _remove(self.candidate)

    def drop(self, sha256: str) -> None:
        """A bundle, unless a link names it or the running station has it open. Raises OSError."""
        if sha256 not in (self.named("current"), self.named("previous"), *self.serving()):
            _remove(self.path_of(sha256))

    def clean_up(self) -> None:
        """All but what the links name and the running station has open. Raises OSError."""
        self.drop_candidate()
        for sha256 in self.bundles():
            self.drop(sha256)


def _opened(path: Path, sha256: str) -> Bundle:
    bundle = open_bundle(path)
    if bundle.sha256 != sha256:
        raise DepotError(f"{shown(str(path))}: is bundle {bundle.sha256[:12]}, not {sha256[:12]}", 422)
    return bundle


def _remove(path: Path) -> None:
    if os.path.lexists(path):
        shutil.rmtree(path)


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = path.read_text(encoding="ascii").strip() or "another"
        raise DepotError(
            f"{shown(str(path))}: process {owner} is at it; wait until it has ended, or cancel its rollout",
            429,
        ) from None


def explained(path: Path, error: OSError) -> DepotError:
    """What the disk says, in words for people."""
    if error.errno in _NO_ROOM:
        return DepotError(f"{shown(str(path))}: the disk is full; make room and do it again", 507)
    return DepotError(
        f"{shown(str(path))}: {error.strerror or error}; see that the disk is good, and run it as the "
        "owner of the folder",
        507,
    )
