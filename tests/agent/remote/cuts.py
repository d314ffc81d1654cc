"""A process that dies at its n-th durable step, and a machine whose power goes with it.

Steps are what changes a disk: writes, syncs, renames, links, new and removed names below one folder. A death
of the process leaves all that was done. A power cut leaves what was synced alone: files without a sync are
empty, names that were changed since the last sync of their folder are as they were. `careless` is a power cut
where no file is synced, to prove that the cuts can hurt.

What a cut leaves is read before each step of one run that comes to its end (`disks`), and is laid down
elsewhere for what comes next: as many starts as there are different disks. `killed` is its plain twin, a
child process that is killed for real.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import stat
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from unittest.mock import patch

from agent.clock import ManualClock
from agent.errors import PlumblineError
from agent.remote.rollout import install as install_file
from agent.remote.rollout.rollout_file import RECORD, RolloutFile
from tests.agent.remote.depots import make_hand, record_of, served

NAMES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "open"}
Content: TypeAlias = "bytes | str | None"  # of a file, of a link, and of a folder
Disk: TypeAlias = tuple[tuple[str, Content], ...]  # of each name below a folder


@dataclass(frozen=True, slots=True)
class Change:
    """Of a name, and what was lost with it."""

    event: str
    path: Path
    to: Path | None = None
    lost: Content = None

    @property
    def folder(self) -> str:
        """Whose sync makes it last."""
        return str((self.to or self.path).parent)

    def undo(self, disk: dict[Path, Content]) -> None:
        match self.event:
            case "os.rename" if self.to in disk and self.path.parent in disk:
                assert self.to is not None
                for path in [one for one in disk if one.is_relative_to(self.to)]:
                    disk[self.path / path.relative_to(self.to)] = disk.pop(path)
                if self.lost is not None:
                    disk[self.to] = self.lost
            case "os.remove" if self.lost is not None and self.path.parent in disk:
                disk[self.path] = self.lost
            case "os.rmdir" if self.path.parent in disk:
                disk.setdefault(self.path, None)
            case "os.mkdir":
                for path in [one for one in disk if one.is_relative_to(self.path)]:
                    del disk[path]
            case "os.symlink" | "open":
                disk.pop(self.path, None)


class Cutter:
    """Of what this thread does to a folder while it is `armed`; calls `step` before each step."""

    def __init__(self, folder: Path, kind: str, step: Callable[[Cutter], None]) -> None:
        self.folder = folder
        self._prefix = f"{folder}/"
        self._kind = kind
        self._call = step
        self._is_stepping = False
        self._thread = threading.get_ident()
        self._changes: list[Change] = []
        self._unsynced: set[int] = set()

    @contextmanager
    def armed(self) -> Iterator[None]:
        _hooked()
        self._write, self._fsync = os.write, os.fsync
        with patch("os.write", self.write), patch("os.fsync", self.fsync):
            _armed.append(self)
            try:
                yield
            finally:
                _armed.remove(self)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._is_stepping or not self._is_own():
            return
        paths = self._paths(event, arguments)
        if paths is not None and any(path.startswith(self._prefix) for path in paths):
            self._step()
            self._note(event, *map(Path, paths))

    def write(self, descriptor: int, data: Any) -> int:
        if self._is_own():
            self._step()
            self._unsynced.add(os.fstat(descriptor).st_ino)
        return self._write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        if not self._is_own():
            self._fsync(descriptor)
            return
        self._step()
        self._fsync(descriptor)
        found = os.fstat(descriptor)
        if self._kind != "careless":
            self._unsynced.discard(found.st_ino)
        if stat.S_ISDIR(found.st_mode):
            folder = _opened(descriptor)
            self._changes = [one for one in self._changes if one.folder != folder]

    def _is_own(self) -> bool:
        return threading.get_ident() == self._thread

    def disk(self) -> Disk:
        """What a cut would leave now."""
        kept = tuple((name, self._kept(name, content)) for name, content in disk_of(self.folder))
        if self._kind == "death":
            return kept
        found: dict[Path, Content] = {self.folder: None}
        found |= {self.folder / name: content for name, content in kept}
        for one in reversed(self._changes):
            one.undo(found)
        del found[self.folder]
        return tuple((path.relative_to(self.folder).as_posix(), found[path]) for path in sorted(found))

    def _kept(self, name: str, content: Content) -> Content:
        is_lost = self._kind != "death" and (self.folder / name).lstat().st_ino in self._unsynced
        return b"" if is_lost and isinstance(content, bytes) else content

    def _step(self) -> None:
        self._is_stepping = True
        try:
            self._call(self)
        finally:
            self._is_stepping = False

    def _paths(self, event: str, arguments: tuple[Any, ...]) -> tuple[str, ...] | None:
        if event == "open":
            path, _, flags = arguments
            is_new = isinstance(path, (str, os.PathLike)) and flags & os.O_CREAT and not os.path.lexists(path)
            return (str(path),) if is_new and not str(path).endswith(".lock") else None
        if event == "os.rename":
            return str(arguments[0]), str(arguments[1])
        path = arguments[1] if event == "os.symlink" else arguments[0]
        if isinstance(arguments[-1], int) and arguments[-1] >= 0:
            return (f"{_opened(arguments[-1])}/{path}",)
        return (str(path),)

    def _note(self, event: str, path: Path, to: Path | None = None) -> None:
        """What is about to happen."""
        goes = {"os.rename": to, "os.remove": path}.get(event)
        self._changes.append(Change(event, path, to, None if goes is None else _content(goes)))


_armed: list[Cutter] = []


@functools.cache
def _hooked() -> None:
    """An audit hook stays for as long as the process does."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in NAMES:
            for one in _armed:
                one.hook(event, arguments)

    sys.addaudithook(hook)


def _opened(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def _content(path: Path) -> Content:
    """A lock's says who died, and is nobody's."""
    if path.is_symlink():
        return str(path.readlink())
    if path.is_file():
        return b"" if path.name == ".lock" else path.read_bytes()
    return None


def disk_of(folder: Path) -> Disk:
    return tuple((one.relative_to(folder).as_posix(), _content(one)) for one in sorted(folder.rglob("*")))


def lay_down(disk: Disk, folder: Path) -> None:
    """All that is there, in place of what was."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in disk:
        path = folder / name
        if content is None:
            path.mkdir()
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)


def disks(folder: Path, call: Callable[[], object], kind: str) -> list[Disk]:
    """What a cut before each step of `call` would leave in the folder."""
    found: list[Disk] = []
    with Cutter(folder, kind, lambda cutter: found.append(cutter.disk())).armed():
        call()
    return found


def killed(folder: Path, call: Callable[[], object], kind: str, at: int) -> bool:
    """Whether `call` was killed in a child process before its step `at`, and did not come to its end."""
    left = at

    def step(cutter: Cutter) -> None:
        nonlocal left
        if left == 0:
            if kind != "death":
                lay_down(cutter.disk(), folder)
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    child = os.fork()
    if child == 0:
        with Cutter(folder, kind, step).armed():
            call()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


class Machine(ManualClock):
    """One that runs since a start that has this name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def boot(self) -> str:
        return self._name


def installing(folder: Path, source: Path, what: str) -> Callable[[], None]:
    """An install into the folder, or a way back there; the same to the byte each time."""

    def call() -> None:
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, str(folder)))
        with patch.object(install_file, "new_uuid7", lambda _: name), suppress(PlumblineError):
            hand = make_hand(folder, clock=Machine(name))
            hand.install(source) if what == "install" else hand.roll_back()

    return call


def cut_everywhere(
    folder: Path, source: Path, what: str, kind: str, *, is_twice: bool = False
) -> list[dict[str, Any]]:
    """What each cut of an install into FOLDER, or of a way back there, left, and what ended it.

    `is_twice` cuts at every step, too, what ends the install afterwards.
    """
    once, twice = folder.parent / "once", folder.parent / "twice"
    seen: set[tuple[str, ...]] = set()

    @functools.cache
    def ended(disk: Disk) -> dict[str, Any]:
        lay_down(disk, once)
        return {"left": left(once), "after": after(once, source)}

    def again(disk: Disk) -> list[dict[str, Any]]:
        lay_down(disk, twice)
        # Once for each disk that a cut leaves; until it begins anew, for that is what is cut once.
        if (found := names(twice)) in seen:
            return []
        seen.add(found)
        transaction = record_of(twice).instruction
        cuts = []
        for cut in disks(twice, installing(twice, source, "install"), kind):
            lay_down(cut, once)
            if record_of(once).instruction != transaction:
                break
            cuts.append(ended(cut))
        return cuts

    shutil.copytree(folder, once, symlinks=True)
    found = disks(once, installing(once, source, what), kind)
    return [{**ended(disk), "again": again(disk) if is_twice else []} for disk in found]


def names(folder: Path) -> tuple[str, ...]:
    """How two disks differ for what comes next: state, outcome, links, folders, and the candidate's names."""
    record, _ = RolloutFile(path=folder / RECORD).read()
    links = [str((folder / one).readlink()) for one in ("current", "previous")]
    there = [one.relative_to(folder).as_posix() for one in folder.rglob("*")]
    return (record.state, str(record.outcome), *links, *sorted(there))


def left(folder: Path) -> dict[str, Any]:
    """What a cut left; None stands for what is damaged."""
    record, trouble = RolloutFile(path=folder / RECORD).read()
    try:
        counters = served(folder)
    except PlumblineError:
        counters = None
    return {"state": None if trouble else record.state, "served": counters}


def after(folder: Path, source: Path) -> dict[str, Any]:
    """What the next install makes of it."""
    make_hand(folder).install(source)
    return {"served": served(folder), "is_clean": is_clean(folder)}


def is_clean(folder: Path) -> bool:
    """Two bundles, two links, record and lock, and nothing else."""
    names = {one.name for one in folder.iterdir()}
    bundles = {name for name in names if len(name) == 64}
    return len(bundles) == 2 and names - bundles == {"current", "previous", "rollout.json", ".lock"}
