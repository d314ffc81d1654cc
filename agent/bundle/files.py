"""The files of a bundle, in a folder or one `.plumb` zip: what is there, and one file at a time.

Names, kinds, sizes and their sum are bounded before any content is read. Links are not followed, and what is
neither folder nor file is refused: a bundle never reaches outside itself.
"""

from __future__ import annotations

import os
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO, Protocol

from agent.errors import PlumblineError
from agent.foreign import shown

MAX_ENTRIES = 256  # files and folders; a bundle has about ten
MAX_DEPTH = 4
MAX_NAME_CHARACTERS = 200
MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_TOTAL_BYTES = 1024 * 1024 * 1024
MAX_RATIO = 100  # weights and pictures shrink to a tenth at best
RATIO_FROM_BYTES = 4 * 1024 * 1024
PIECE_BYTES = 1024 * 1024  # also the most that a zip's directory may have
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # the others ask for memory by what the file says
# zipfile lets its parts' own errors through; NotImplementedError is a RuntimeError.
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)
# What file managers leave in folders and put into archives.
_LEFT_BY = {
    ".ds_store": "macOS",
    "__macosx": "macOS",
    ".localized": "macOS",
    ".spotlight-v100": "macOS",
    ".fseventsd": "macOS",
    ".trashes": "macOS",
    "thumbs.db": "Windows",
    "ehthumbs.db": "Windows",
    "desktop.ini": "Windows",
    ".directory": "KDE",
}


class BundleError(PlumblineError):
    """The bundle cannot be trusted or read; says which file and what to do."""


class NotABundle(BundleError):
    """There is no bundle at that path at all."""


class BundleFiles(Protocol):
    """An open folder or zip."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Of every file, by its name inside."""

    def read(self, name: str, limit: int = MAX_FILE_BYTES) -> bytes:
        """One of the files. Raises BundleError when it is larger than `limit` or cannot be read."""

    def pieces(self, name: str, limit: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        """The same, a piece at a time."""


@contextmanager
def open_files(path: Path) -> Iterator[BundleFiles]:
    """What is in a bundle. Raises BundleError, naming the file, when any of it breaks a bound or rule."""
    place = shown(str(path))
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise NotABundle(
            f"{place}: no such bundle ({_why(error)}); check the setting `bundle`, or have `plumbline bundle "
            "install` put one there"
        ) from error
    if stat.S_ISDIR(mode):
        yield _Folder(path, _scanned(path, place))
        return
    if not stat.S_ISREG(mode):
        raise NotABundle(f"{place}: no such bundle, it is neither a folder nor a .plumb file")
    try:
        with _Bounded(path) as file, zipfile.ZipFile(file) as archive:
            yield _Zip(archive, _entries(archive, place), place)
    except OSError as error:
        raise BundleError(f"{place}: cannot be read: {_why(error)}") from error
    except DAMAGED_ZIP as error:
        raise BundleError(
            f"{place}: neither a bundle folder nor a readable .plumb file: {shown(str(error))}"
        ) from error


def is_inside(name: str) -> bool:
    """Whether a name can lead nowhere but into the bundle, on any system."""
    return not any(part in ("", ".", "..") for part in name.split("/")) and not set("\\:\0") & set(name)


def left_by(name: str) -> str | None:
    """The system whose file manager leaves files of this name; None when none is known to."""
    parts = [part.casefold() for part in name.split("/")]
    if any(part.startswith("._") for part in parts):  # AppleDouble
        return "macOS"
    return next((_LEFT_BY[part] for part in parts if part in _LEFT_BY), None)


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path
    sizes: Mapping[str, int]

    def read(self, name: str, limit: int = MAX_FILE_BYTES) -> bytes:
        return b"".join(self.pieces(name, limit))

    def pieces(self, name: str, limit: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        place = shown(str(self.path / name))
        try:
            # A name may have become a link or a pipe since it was listed.
            handle = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise BundleError(f"{place}: not a file any more; copy the bundle again")
                yield from _pieces(file, place, min(limit, self.sizes[name]), limit)
        except OSError as error:
            raise BundleError(f"{place}: cannot be read: {_why(error)}; copy the bundle again") from error


@dataclass(frozen=True, slots=True)
class _Zip:
    archive: zipfile.ZipFile
    entries: Mapping[str, zipfile.ZipInfo]
    place: str

    @property
    def sizes(self) -> Mapping[str, int]:
        return {name: entry.file_size for name, entry in self.entries.items()}

    def read(self, name: str, limit: int = MAX_FILE_BYTES) -> bytes:
        return b"".join(self.pieces(name, limit))

    def pieces(self, name: str, limit: int = MAX_FILE_BYTES) -> Iterator[bytes]:
        entry = self.entries[name]
        with self.archive.open(entry) as file:
            yield from _pieces(file, f"{self.place}/{shown(name)}", entry.file_size, limit)


class _Bounded(FileIO):
    """A file of which nobody reads more than a piece at a time, whatever the file says about itself."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = PIECE_BYTES + 1 if size is None or size < 0 else size
        if size is not None and size > PIECE_BYTES:
            raise zipfile.BadZipFile(f"its directory of {size} bytes is far too large for a bundle")
        found = super().read(wanted)
        if len(found) > PIECE_BYTES:
            raise zipfile.BadZipFile("its directory is far too large for a bundle")
        return found


def _pieces(file: IO[bytes], place: str, size: int, limit: int) -> Iterator[bytes]:
    """Exactly `size` bytes: a file that says another size than it has is not believed."""
    if size > limit:
        raise BundleError(f"{place}: larger than {limit} bytes")
    found = 0
    while piece := file.read(min(PIECE_BYTES, size + 1 - found)):
        found += len(piece)
        if found > size:
            raise BundleError(f"{place}: has more than the {size} bytes it is said to have")
        yield piece
    if found != size:
        raise BundleError(f"{place}: {found} bytes in place of {size}; copy the bundle again")


def _scanned(root: Path, place: str) -> dict[str, int]:
    sizes: dict[str, int] = {}
    names: set[str] = set()
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as found:
                for entry in found:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    _check_name(name, names, place)
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        folders.append(name)
                    else:
                        _check_kind(status.st_mode, f"{place}/{shown(name)}")
                        sizes[name] = status.st_size
                        _check_size(sizes, name, place)
        except OSError as error:
            where = shown(str(root / folder))
            raise BundleError(f"{where}: cannot be read: {_why(error)}; copy the bundle again") from error
    return sizes


def _entries(archive: zipfile.ZipFile, place: str) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    sizes: dict[str, int] = {}
    names: set[str] = set()
    for entry in archive.infolist():
        name = entry.orig_filename  # `filename` ends at a NUL and has other separators
        where = f"{place}/{shown(name)}"
        if entry.is_dir():
            name = name.removesuffix("/")
            if entry.file_size:
                raise BundleError(f"{where}: a folder with content; pack the bundle again")
        _check_name(name, names, place)
        mode = entry.external_attr >> 16
        if stat.S_IFMT(mode) and not stat.S_ISDIR(mode):
            _check_kind(mode, where)
        if entry.flag_bits & 0x1:
            raise BundleError(f"{where}: encrypted; pack the bundle without a password")
        if entry.is_dir():
            continue
        if entry.compress_type not in METHODS:
            raise BundleError(f"{where}: packed by method {entry.compress_type}; use deflate, as zip does")
        sizes[name] = entry.file_size
        _check_size(sizes, name, place)
        if entry.file_size > max(RATIO_FROM_BYTES, MAX_RATIO * entry.compress_size):
            raise BundleError(
                f"{where}: {entry.compress_size} bytes are to become {entry.file_size}; no model is like that"
            )
        found[name] = entry
    return found


def _check_name(name: str, names: set[str], place: str) -> None:
    """Add a name to those seen; names that differ in case or in composition alone are one on some disks."""
    where = f"{place}/{shown(name)}"
    parts = name.split("/")
    if not is_inside(name):
        raise BundleError(f"{where}: a name that could lead out of the bundle; make the bundle again")
    if len(name) > MAX_NAME_CHARACTERS or len(parts) > MAX_DEPTH:
        raise BundleError(f"{where[:400]}: a name too long or too deep for a bundle; make the bundle again")
    folded = unicodedata.normalize("NFC", name).casefold()
    if folded in names:
        raise BundleError(f"{where}: stands twice, perhaps in other case; make the bundle again")
    names.add(folded)
    if len(names) > MAX_ENTRIES:
        raise BundleError(f"{place}: more than {MAX_ENTRIES} files; this is not a model bundle")


def _check_kind(mode: int, where: str) -> None:
    if stat.S_ISLNK(mode):
        raise BundleError(f"{where}: a link, which a bundle never has; copy the bundle with `cp -rL`")
    if not stat.S_ISREG(mode):
        raise BundleError(f"{where}: neither a file nor a folder; delete it or copy the bundle again")


def _check_size(sizes: Mapping[str, int], name: str, place: str) -> None:
    if sizes[name] > MAX_FILE_BYTES:
        raise BundleError(f"{place}/{shown(name)}: larger than {MAX_FILE_BYTES} bytes")
    if sum(sizes.values()) > MAX_TOTAL_BYTES:
        raise BundleError(f"{place}: larger than {MAX_TOTAL_BYTES} bytes together")


def _why(error: Exception) -> str:
    return shown(getattr(error, "strerror", None) or str(error))
