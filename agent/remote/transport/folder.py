"""A bundle from a folder or a .plumb file, perhaps on a stick that comes later or is pulled in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.bundle.bundle import MANIFEST
from agent.bundle.files import DAMAGED_ZIP, BundleError, BundleFiles, is_inside, open_files
from agent.foreign import shown
from agent.remote.transport.source import Cancelled, Lost, Missing, Stopped, Stretch, Unfit


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A path; one that is not absolute is taken from `base`, the folder that the instruction came in."""

    path: Path
    base: Path | None

    @property
    def name(self) -> str:
        return shown(str(self.path))

    @contextmanager
    def visit(self, cancelled: Cancelled) -> Iterator[_FolderVisit]:
        with _told(self.name), open_files(self._place()) as there:
            yield _FolderVisit(there=there, place=self.name, cancelled=cancelled)

    def _place(self) -> Path:
        if self.path.is_absolute():
            return self.path
        if self.base is None:
            raise Unfit(f"{self.name}: a relative path, and the instruction came in no folder", 422)
        if not is_inside(self.path.as_posix()):
            raise Unfit(f"{self.name}: leads out of the folder that the instruction came in", 422)
        return self.base / self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class _FolderVisit:
    there: BundleFiles
    place: str
    cancelled: Cancelled

    def stretch(self, name: str, offset: int, limit: int) -> Stretch:
        """From its start, always: what is packed can be read from there only."""
        size = self.there.sizes.get(name)
        if size is None and name == MANIFEST:
            raise Lost(f"{self.place}: no {MANIFEST} there")  # an empty place where a stick belongs
        if size is None:
            raise Missing(f"{self.place}/{shown(name)}: not there")
        if size > limit:
            raise Unfit(f"{self.place}/{shown(name)}: {size} bytes, and at most {limit} may come", 413)
        return Stretch(begins=0, size=size, pieces=self._pieces(name, limit))

    def _pieces(self, name: str, limit: int) -> Iterator[bytes]:
        with _told(f"{self.place}/{shown(name)}"):
            for piece in self.there.pieces(name, limit):
                if self.cancelled():
                    raise Stopped(f"{self.place}: cancelled")
                yield piece


@contextmanager
def _told(place: str) -> Iterator[None]:
    """Whether what went wrong with it may be mended by waiting."""
    try:
        yield
    except BundleError as error:
        if isinstance(error.__cause__, OSError):
            raise Lost(str(error)) from error
        raise Unfit(str(error), 422) from error
    except OSError as error:
        raise Lost(f"{place}: cannot be read: {shown(error.strerror or str(error))}") from error
    except DAMAGED_ZIP as error:
        raise Unfit(f"{place}: damaged: {shown(str(error))}; copy it again", 422) from error
