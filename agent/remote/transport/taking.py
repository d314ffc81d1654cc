"""The bytes of one bundle, taken into the candidate: the head first, then what it names, and nothing else.

Whether a file is whole is decided by its digest alone. What is on the disk counts, whoever put it there;
bytes of several sources may stand in one file, and when its digest is wrong it is taken once more, from one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.bundle.bundle import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    MAX_SIGNATURE_BYTES,
    SIGNATURE,
    Bundle,
    Manifest,
    parse_manifest,
)
from agent.bundle.files import (
    MAX_DEPTH,
    MAX_ENTRIES,
    MAX_FILE_BYTES,
    MAX_NAME_CHARACTERS,
    MAX_TOTAL_BYTES,
    BundleError,
    is_inside,
)
from agent.contract.desired import Target
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.remote.rollout.depot import Depot
from agent.remote.rollout.partial import Partial, gone_on
from agent.remote.transport.neighbours import copied, neighbours
from agent.remote.transport.source import Beyond, Lost, Missing, Stretch, Unfit, Visit
from agent.settings import bounded


class NotFetched(PlumblineError):
    """The bundle is not to be had; says why. `code` is that of the rollout."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a bundle has to be, and how much of the disk it may take."""

    target: Target
    trusted: Callable[[Bundle], None]  # asked with manifest and signature; raises a PlumblineError
    kept_free: int  # bytes of the disk that stay free


class Taking:
    """For one thread; the depot is held meanwhile."""

    def __init__(self, depot: Depot, terms: Terms, tell: Callable[[Mapping[str, int]], None]) -> None:
        """`tell` hears with every piece how much of each file is on the disk; what it raises ends it."""
        self.received = 0  # bytes from sources, in vain or not
        self._depot = depot
        self._terms = terms
        self._tell = tell
        self._done: dict[str, int] = {}
        self._near: dict[str, tuple[Path, str]] = {}
        self._whole: set[str] = set()

    def begin(self) -> bool:
        """Find what is there already, in other bundles, too; whether that is all. Raises as `take`."""
        self._depot.go_on()
        self._done = self._depot.candidate_sizes()
        self._near = neighbours(self._depot)
        found = self._on_disk()
        return found is not None and not self._missing(_read(found))

    def take(self, visit: Visit) -> None:
        """All of it that is not there yet; the candidate is whole when this returns.

        Raises Lost or Unfit where another source may still do; NotFetched, DepotError and what `tell` raises.
        """
        manifest = self._head(visit)
        for name in self._missing(manifest):
            with gone_on(self._depot, name) as file:
                self._file(visit, name, manifest.files[name], file)
                file.sync()
                self._whole.add(name)

    def _missing(self, manifest: Manifest) -> list[str]:
        """The files that are to come from a source, after a look at the disk."""
        wanted = self._terms.target.size_bytes - sum(self._done.values())
        if not self._depot.has_room(max(0, wanted), kept_free=self._terms.kept_free):
            raise NotFetched(f"there is no room on the disk for {wanted} bytes more; make room", 507)
        for name, sha256 in manifest.files.items():
            if name not in self._whole:
                with gone_on(self._depot, name) as file:
                    if file.sha256() == sha256 or self._is_near(name, sha256, file):
                        file.sync()
                        self._whole.add(name)
                        self._told(name, file.size)
        return [name for name in manifest.files if name not in self._whole]

    def _head(self, visit: Visit) -> Manifest:
        target = self._terms.target
        found = self._on_disk()
        if found is not None:
            return _read(found)
        content = self._small(visit, MANIFEST, MAX_MANIFEST_BYTES)
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != target.sha256:
            raise Unfit(f"has bundle {sha256[:12]}..., not {target.sha256[:12]}...", 422)
        manifest, files = _read(content), {MANIFEST: content}
        with suppress(Missing):
            files = {SIGNATURE: self._small(visit, SIGNATURE, MAX_SIGNATURE_BYTES), **files}
        try:
            self._terms.trusted(Bundle(path=Path(target.id), manifest=manifest, sha256=sha256, files=files))
        except PlumblineError as error:  # another source may have it signed
            raise Unfit(str(error), 403) from error
        self._depot.begin()
        for name, data in files.items():  # the manifest last: with it the head is whole
            self._depot.put(name, [data], sha256=None, size=len(data))
        self._done = {name: len(data) for name, data in files.items()}
        self._whole.clear()
        return manifest

    def _on_disk(self) -> bytes | None:
        try:
            content = bounded.read(self._depot.candidate / MANIFEST, max_bytes=MAX_MANIFEST_BYTES)
        except bounded.UnreadableError:
            return None
        return content if hashlib.sha256(content).hexdigest() == self._terms.target.sha256 else None

    def _small(self, visit: Visit, name: str, limit: int) -> bytes:
        stretch = visit.stretch(name, 0, min(limit, self._terms.target.size_bytes))
        content = b""
        for piece in stretch.pieces:
            content += piece
            self.received += len(piece)
            self._tell({**self._done, name: len(content)})
            if len(content) > limit:
                raise Unfit(f"{name}: more than {limit} bytes", 413)
        _require_whole(name, len(content), stretch)
        return content

    def _file(self, visit: Visit, name: str, sha256: str, file: Partial) -> None:
        limit = self._limit(name)
        if file.size > limit:
            file.clear()
        mixed = file.size > 0
        while True:
            try:
                stretch = visit.stretch(name, file.size, limit)
                if stretch.begins != file.size:
                    file.clear()
                    mixed = False
                self._append(name, stretch, file, limit)
                if file.sha256() == sha256:
                    return
                _require_whole(name, file.size, stretch)
            except Beyond:
                if not mixed:
                    raise
            if not mixed:
                size = file.size
                file.clear()
                raise Unfit(f"{shown(name)}: {size} bytes of another digest than the manifest's", 422)
            mixed = False
            file.clear()

    def _append(self, name: str, stretch: Stretch, file: Partial, limit: int) -> None:
        for piece in stretch.pieces:
            if file.size + len(piece) > limit:
                file.clear()
                raise Unfit(f"{shown(name)}: more than the {limit} bytes that may come", 413)
            file.add(piece)
            self.received += len(piece)
            self._told(name, file.size)

    def _is_near(self, name: str, sha256: str, file: Partial) -> bool:
        """Whether another bundle here had it."""
        place = self._near.get(sha256)
        if place is None:
            return False
        file.clear()
        for piece in copied(place, self._limit(name)):
            file.add(piece)
            self._told(name, file.size)
        if file.sha256() == sha256:
            return True
        file.clear()
        del self._near[sha256]
        return False

    def _limit(self, name: str) -> int:
        """How many bytes a file may have: what was announced for all, less the others."""
        others = sum(size for one, size in self._done.items() if one != name)
        return min(MAX_FILE_BYTES, max(0, min(self._terms.target.size_bytes, MAX_TOTAL_BYTES) - others))

    def _told(self, name: str, size: int) -> None:
        self._done[name] = size
        self._tell(self._done)


def _read(content: bytes) -> Manifest:
    """No other source has another one: its digest is the one that was announced."""
    try:
        manifest = parse_manifest(content, name=MANIFEST)
    except BundleError as error:
        raise NotFetched(f"{error}; have it exported again", 422) from error
    if len(manifest.files) > MAX_ENTRIES:
        raise NotFetched(f"{MANIFEST}: names {len(manifest.files)} files, no bundle has so many", 422)
    for name in manifest.files:
        is_plain = is_inside(name) and name.isprintable()
        if not is_plain or len(name) > MAX_NAME_CHARACTERS or name.count("/") >= MAX_DEPTH:
            raise NotFetched(f"{MANIFEST}: {shown(name)[:80]}: no name for a file of a bundle", 422)
    return manifest


def _require_whole(name: str, size: int, stretch: Stretch) -> None:
    if stretch.size is not None and size < stretch.size:
        raise Lost(f"{shown(name)}: the bytes ended at {size} of {stretch.size}")
