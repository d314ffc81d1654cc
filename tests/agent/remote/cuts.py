"""A process that dies at its n-th durable step, and a machine whose power goes with it.

Steps are what changes a disk: writes, syncs, renames, links, new and removed names below one folder. A death
of the process leaves all that was done. A power cut leaves what was synced alone: files without a sync are
empty, names that were changed since the last sync of their folder are as they were. `careless` is a power cut
where no file is synced, to prove that the cuts can hurt.

    python -m tests.agent.remote.cuts FOLDER SOURCE install|rollback death|power|careless once|twice

cuts an install into FOLDER (or a way back there) at every step, each time in a copy of it and in a child
process that is killed for real, and says in JSON what each cut left. `twice` cuts at every step, too, what
ends the install afterwards.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import stat
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.clock import ManualClock
from agent.errors import PlumblineError
from agent.remote.rollout import install as install_file
from agent.remote.rollout.install import Hand
from agent.remote.rollout.rollout_file import RECORD, RolloutFile
from tests.agent.remote.depots import make_hand, record_of, served

NAMES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "open"}


class Cutter:
    """Of this process, from `arm` on and for good."""

    def __init__(self, folder: Path, at: int, kind: str) -> None:
        self._folder = str(folder)
        self._stash = folder.parent / "stash"
        self._left = at
        self._kind = kind
        self._busy = False
        self._undo: list[tuple[str, Callable[[], object]]] = []
        self._unsynced: set[int] = set()

    def arm(self) -> None:
        self._stash.mkdir(exist_ok=True)
        self._write, self._fsync = os.write, os.fsync
        os.write, os.fsync = self.write, self.fsync  # type: ignore[assignment]
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._busy or event not in NAMES:
            return
        self._busy = True
        try:
            paths = self._paths(event, arguments)
            if paths is not None and any(path.startswith(self._folder + "/") for path in paths):
                self._step()
                self._note(event, *paths)
        finally:
            self._busy = False

    def write(self, descriptor: int, data: Any) -> int:
        self._step()
        self._unsynced.add(os.fstat(descriptor).st_ino)
        return self._write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        self._step()
        self._fsync(descriptor)
        found = os.fstat(descriptor)
        if self._kind != "careless":
            self._unsynced.discard(found.st_ino)
        if stat.S_ISDIR(found.st_mode):
            folder = _opened(descriptor)
            self._undo = [one for one in self._undo if one[0] != folder]

    def _step(self) -> None:
        if self._left == 0:
            self._busy = True
            if self._kind != "death":
                self._lose()
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def _lose(self) -> None:
        for path in Path(self._folder).rglob("*"):
            if path.lstat().st_ino in self._unsynced and path.is_file():
                os.truncate(path, 0)
        for _, undo in reversed(self._undo):
            with suppress(OSError):
                undo()

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

    def _note(self, event: str, path: str, to: str = "") -> None:
        """How to undo what is about to happen."""
        place, parent = Path(path), str(Path(path).parent)
        match event:
            case "os.rename":
                kept = self._kept(Path(to))

                def back() -> None:
                    Path(to).rename(place)
                    if kept is not None:
                        kept.rename(to)

                self._undo.append((str(Path(to).parent), back))
            case "os.remove":
                removed = self._kept(place)
                if removed is not None:
                    self._undo.append((parent, lambda: removed.rename(place)))
            case "os.rmdir":
                self._undo.append((parent, place.mkdir))
            case "os.mkdir":
                self._undo.append((parent, lambda: shutil.rmtree(place)))
            case _:
                self._undo.append((parent, place.unlink))

    def _kept(self, path: Path) -> Path | None:
        if not os.path.lexists(path) or (path.is_dir() and not path.is_symlink()):
            return None
        kept = self._stash / str(len(self._undo))
        kept.unlink(missing_ok=True)
        os.link(path, kept, follow_symlinks=False)
        return kept


def _opened(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


class Machine(ManualClock):
    """One that runs since a start that has this name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def boot(self) -> str:
        return self._name


def cut(folder: Path, at: int, call: Callable[[Hand], object], kind: str) -> bool:
    """Whether `call` was killed in a child process before its step `at`, and did not come to its end."""
    child = os.fork()
    if child == 0:
        # One machine and one name of the install for each place: two cuts may leave the same to the byte.
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, str(folder)))
        install_file.new_uuid7 = lambda _: name
        hand = make_hand(folder, clock=Machine(name))
        Cutter(folder, at, kind).arm()
        with suppress(PlumblineError):
            call(hand)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def main(folder: Path, source: Path, what: str, kind: str, how_often: str) -> None:
    def install(hand: Hand) -> object:
        return hand.install(source)

    found: list[dict[str, Any]] = []
    seen: set[tuple[str, ...]] = set()
    ended: dict[
        tuple[tuple[str, str | bytes], ...], dict[str, Any]
    ] = {}  # by the disk it begins with, to the byte

    def end(place: Path) -> dict[str, Any]:
        disk = bytes_of(place)
        if disk not in ended:
            ended[disk] = after(place, source)
        return ended[disk]

    gc.freeze()  # children share what is imported as long as nothing counts its references anew
    once, twice = folder.parent / "once" / "bundles", folder.parent / "twice" / "bundles"
    renew(folder, once)
    while cut(once, len(found), install if what == "install" else Hand.roll_back, kind):
        one: dict[str, Any] = {"left": left(once), "again": []}
        transaction = RolloutFile(path=once / RECORD).read()[0].instruction
        renew(once, twice)
        # Once for each disk that a cut leaves; until it begins anew, for that is what is cut once.
        is_new = how_often == "twice" and names(once) not in seen
        seen.add(names(once))
        while is_new and cut(twice, len(one["again"]), install, kind):
            if record_of(twice).instruction != transaction:
                break
            one["again"].append({"left": left(twice), "after": end(twice)})
            renew(once, twice)
        found.append({**one, "after": end(once)})
        renew(folder, once)
    print(json.dumps(found))


def renew(original: Path, copy: Path) -> None:
    shutil.rmtree(copy.parent, ignore_errors=True)
    shutil.copytree(original, copy, symlinks=True)


def names(folder: Path) -> tuple[str, ...]:
    """How two disks differ for what comes next: state, outcome, links, folders, and the candidate's names."""
    record, _ = RolloutFile(path=folder / RECORD).read()
    links = [str((folder / one).readlink()) for one in ("current", "previous")]
    there = [one.relative_to(folder).as_posix() for one in folder.rglob("*")]
    return (record.state, str(record.outcome), *links, *sorted(there))


def bytes_of(folder: Path) -> tuple[tuple[str, str | bytes], ...]:
    """All of a disk: each name, and its target or bytes; a lock's say who died, and are nobody's."""

    def content(path: Path) -> str | bytes:
        if path.is_symlink():
            return str(path.readlink())
        return path.read_bytes() if path.is_file() and path.name != ".lock" else b""

    return tuple((one.relative_to(folder).as_posix(), content(one)) for one in sorted(folder.rglob("*")))


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


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
