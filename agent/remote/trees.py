"""Folders that look as the topics do, such as a stick that `plumbline-lab fleet export` wrote.

ROOT/plumbline/v1/.../config/desired.json    is read, and stays: it may be for others, too
ROOT/bundles/...                             is where its folder sources lead, from ROOT on
ROOT/plumbline/v1/.../config/reported.json   is what this station says of itself, for the way back
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent.contract.desired import MAX_DOCUMENT_BYTES
from agent.durable import replace_file
from agent.foreign import shown
from agent.settings import bounded

MOST_ROOTS = 8
TOP = Path("plumbline", "v1")
MAX_REPORT_BYTES = 262_144

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Come:
    """A document from a tree: the topic that it would have come by, and where it lay."""

    topic: str
    content: bytes
    root: Path


class Trees:
    """Of one folder, which may be such a root or hold some, as links to where sticks are mounted, too."""

    def __init__(self, folder: Path, *, topics: Sequence[str], reported: str, report: Path) -> None:
        """`topics` are those of documents for this station; the file `report` goes to `reported`."""
        self._folder = folder
        self._topics = topics
        self._reported = reported
        self._report = report
        self._seen: dict[Path, tuple[int, int, int]] = {}
        self._trouble: dict[Path, str] = {}

    def come(self) -> Iterator[Come]:
        """What is new or has changed since the last look, and what lies on a stick that is back."""
        there = dict[Path, tuple[int, int, int]]()
        for root in self._roots():
            for topic in self._topics:
                path = root / f"{topic}.json"
                try:
                    found = path.stat()
                except OSError:
                    continue
                there[path] = (found.st_ino, found.st_size, found.st_mtime_ns)
                if self._seen.get(path) == there[path]:
                    continue
                try:
                    content = bounded.read(path, max_bytes=2 * MAX_DOCUMENT_BYTES)
                except bounded.UnreadableError as error:
                    log.warning("document_unreadable", path=shown(str(path)), reason=str(error))
                    continue
                yield Come(topic=topic, content=content, root=root)
        self._seen = there

    def bring_back(self) -> None:
        """Have every tree say what this station reported last; one that takes nothing is told of once."""
        roots = self._roots()
        if not roots:
            return
        try:
            report = bounded.read(self._report, max_bytes=MAX_REPORT_BYTES)
        except bounded.UnreadableError:
            return  # it has not said anything yet
        for root in roots:
            path = root / f"{self._reported}.json"
            try:
                _put(root, path, report)
                self._trouble.pop(path, None)
            except OSError as error:
                reason = error.strerror or str(error)
                if self._trouble.get(path) != reason:
                    log.warning("report_not_brought_back", path=shown(str(path)), reason=reason)
                    self._trouble[path] = reason

    def _roots(self) -> list[Path]:
        try:
            below = sorted(one for one in self._folder.iterdir() if one.is_dir() and one.name[0] != ".")
        except OSError:  # it need not be there
            return []
        return [one for one in (self._folder, *below) if (one / TOP).is_dir()][:MOST_ROOTS]


def _put(root: Path, path: Path, report: bytes) -> None:
    """Raises OSError."""
    try:
        if bounded.read(path, max_bytes=MAX_REPORT_BYTES) == report:
            return
    except bounded.UnreadableError:
        pass
    if not path.parent.resolve().is_relative_to(root.resolve()):
        raise OSError(errno.ELOOP, "a link there leads out of the folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, [report])
