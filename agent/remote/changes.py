"""Who changed what on a station, before and after: one line of JSON a change.

    changes.jsonl          the newest; what was cut off by a crash, or is damaged, is passed over when read
    changes-before.jsonl   those before, once the newest file is full; those before them are turned out

The first line of a file that followed another says how many were. Of one person who does the same over and
over, the first of a minute and the last are told, which says how many lie between. A record that cannot be
written is said in the log and stops nothing: what was done holds.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import structlog
from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, ValidationError

from agent.address import masked_values
from agent.clock import Clock, rfc3339
from agent.durable import sync_folder, write_all
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings import bounded

NAME = "changes.jsonl"
FULL_BYTES = 1_000_000  # of each of the two files
TEXT = 200  # characters of one value
MEMBERS = 50  # of before and after
MOST_A_MINUTE = 20  # of one person, way and act, told one by one
MINUTE_NS = 60 * 10**9

Way: TypeAlias = Literal["page", "command", "file", "document", "station"]
Outcome: TypeAlias = Literal["done", "begun", "failed"]

log = structlog.get_logger(__name__)


def _short(value: Any) -> Any:
    """A text within its bound, and of a large value only that it is there."""
    if isinstance(value, str):
        return value if len(value) <= TEXT else f"{value[:TEXT]}..."
    return value if len(json.dumps(value)) <= TEXT * 5 else "(too long to be told)"


def _told(values: Any) -> Any:
    if not isinstance(values, Mapping):
        return values
    kept = list(values.items())[:MEMBERS]
    return {str(name)[:TEXT]: _short(value) for name, value in masked_values(dict(kept)).items()}


Told: TypeAlias = Annotated[dict[str, JsonValue], BeforeValidator(_told)]


class Change(BaseModel):
    """`way`: from the page, by a command through the broker, the settings file, or a signed document.

    By `station` it went back. Settings that somebody asked for are told once, with what came of it.
    `before` and `after` have what differs alone, and of settings what they say; no logins.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: str
    who: Annotated[str, BeforeValidator(lambda who: str(who)[:TEXT])]
    way: Way
    what: str  # a command's name, an act of the page, settings, bundle
    outcome: Outcome = "done"
    wanted: Told = {}  # what was asked for
    before: Told = {}
    after: Told = {}
    snapshot: str | None = None  # of settings: the name that revert takes
    unlisted: int = 0  # of a flood: how many like it, just before it, are counted only


class _Begun(BaseModel):
    """First line of a file: how many changes were turned out by then, and how many the one before has."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    turned_out: int
    before: int


class Flood:
    """What is told of the same again and again; pure but for what it remembers of the minute."""

    def __init__(self) -> None:
        self._minute = -1
        self._told: dict[tuple[str, str, str], int] = {}
        self._held: dict[tuple[str, str, str], Change] = {}

    def take(self, change: Change, minute: int) -> list[Change]:
        """What is to be written now, oldest first. What changes settings or bundle is never held."""
        over = self.over(minute)
        self._minute = minute
        if change.way not in ("page", "command") or change.snapshot is not None or change.outcome != "done":
            return [*over, change]
        key = (change.who, change.way, change.what)
        if self._told.get(key, 0) < MOST_A_MINUTE:
            self._told[key] = self._told.get(key, 0) + 1
            return [*over, change]
        last = self._held.get(key)
        self._held[key] = change.model_copy(update={"unlisted": 0 if last is None else last.unlisted + 1})
        return over

    def over(self, minute: int) -> list[Change]:
        """What was held of a minute that is over, to be written now; oldest first."""
        return self.rest() if minute != self._minute else []

    def held(self) -> list[Change]:
        """The last of each flood, which is not written yet; oldest first."""
        return sorted(self._held.values(), key=lambda one: one.at)

    def rest(self) -> list[Change]:
        """What was held is to be written now, oldest first."""
        held = self.held()
        self._told, self._held = {}, {}
        return held


class ChangeFile:
    """Safe from any thread."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._flood = Flood()
        self._lock = threading.Lock()

    def note(
        self,
        *,
        who: str,
        way: Way,
        what: str,
        outcome: Outcome = "done",
        wanted: Mapping[str, Any] | None = None,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        snapshot: str | None = None,
    ) -> None:
        """On the disk when this returns, held as the last of a flood, or said in the log. Raises nothing."""
        try:
            change = Change(
                at=rfc3339(self._clock.utc_now()),
                who=who,
                way=way,
                what=what,
                outcome=outcome,
                wanted=wanted or {},
                before=before or {},
                after=after or {},
                snapshot=snapshot,
            )
            with self._lock:
                for one in self._flood.take(change, self._clock.monotonic_ns() // MINUTE_NS):
                    self._append(one.model_dump_json().encode() + b"\n")
        except (OSError, ValueError, TypeError) as error:
            log.error("change_not_recorded", what=what, who=shown(who), reason=shown(str(error))[:500])

    def look(self) -> None:
        """What a flood holds is written once its minute is over, whoever changes what. Raises nothing."""
        with self._lock:
            self._keep(self._flood.over(self._clock.monotonic_ns() // MINUTE_NS))

    def settle(self) -> None:
        """What a flood holds is written: the process ends. Raises nothing."""
        with self._lock:
            self._keep(self._flood.rest())

    def _keep(self, held: list[Change]) -> None:
        for one in held:
            try:
                self._append(one.model_dump_json().encode() + b"\n")
            except OSError as error:
                log.error("change_not_recorded", what=one.what, who=shown(one.who), reason=str(error))

    def last(self, limit: int) -> list[Change]:
        """The newest first; a file that cannot be read is left out."""
        with self._lock:
            found = self._flood.held()[::-1]
        for path in (self._path, _before(self._path)):
            with suppress(bounded.UnreadableError):
                found += _read(path)
        return found[:limit]

    def turned_out(self) -> int:
        """How many changes had to make room for newer ones; 0 where no file of them can be read."""
        try:
            return turned_out(self._path)
        except PlumblineError:
            return 0

    def _append(self, line: bytes) -> None:
        """Raises OSError."""
        descriptor = self._open()
        if os.fstat(descriptor).st_size + len(line) > FULL_BYTES:
            os.close(descriptor)
            self._path.replace(_before(self._path))
            descriptor = self._open()
        try:
            size = os.fstat(descriptor).st_size
            if not size and (begun := _follows(self._path)) is not None:
                line = begun.model_dump_json().encode() + b"\n" + line
            if size and os.pread(descriptor, 1, size - 1) != b"\n":  # cut off by a crash
                line = b"\n" + line
            write_all(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not size:
            sync_folder(self._path.parent)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._path, flags, 0o640)


def kept(path: Path, limit: int) -> list[Change]:
    """The newest first of a record at `path`, beside whoever writes it. Raises PlumblineError where a file of
    it is there and cannot be read.
    """
    found: list[Change] = []
    for one in (path, _before(path)):
        try:
            found += _read(one)
        except bounded.UnreadableError as error:
            raise PlumblineError(
                f"{shown(str(one))}: not read: {error}; ask as the station's user, or move it away"
            ) from error
    return found[:limit]


def turned_out(path: Path) -> int:
    """How many changes made room for newer ones. Raises PlumblineError where a file is not to be read."""
    try:
        begun = _begun(_lines(path)) if os.path.lexists(path) else _follows(path)
    except bounded.UnreadableError as error:
        raise PlumblineError(
            f"{shown(str(path))}: not read: {error}; ask as the station's user, or move it away"
        ) from error
    return 0 if begun is None else begun.turned_out


def _follows(path: Path) -> _Begun | None:
    """How a new file at `path` begins, from the one before alone: a crash between the two loses no count."""
    try:
        lines = _lines(_before(path))
    except bounded.UnreadableError:
        return None
    if not lines:
        return None
    was = _begun(lines)
    then = 0 if was is None else was.turned_out + was.before
    return _Begun(turned_out=then, before=sum(map(_count, lines[0 if was is None else 1 :])))


def _begun(lines: list[bytes]) -> _Begun | None:
    try:
        return _Begun.model_validate_json(lines[0]) if lines else None
    except ValidationError:
        return None


def _count(line: bytes) -> int:
    """The changes that a line stands for; a damaged one was one."""
    try:
        return 1 + Change.model_validate_json(line).unlisted
    except ValidationError:
        return 1


def _before(path: Path) -> Path:
    return path.with_name(f"{path.stem}-before{path.suffix}")


def _read(path: Path) -> list[Change]:
    """Raises UnreadableError for what is there and cannot be read."""
    found = []
    for line in reversed(_lines(path)):
        try:
            found.append(Change.model_validate_json(line))
        except ValidationError:
            continue
    return found


def _lines(path: Path) -> list[bytes]:
    """Of no file none. Raises UnreadableError for what is there and cannot be read."""
    return bounded.read(path, max_bytes=2 * FULL_BYTES).splitlines() if os.path.lexists(path) else []


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What differs of each, member by member: `judge.threshold` rather than all of judge."""
    was, now = dict(_leaves(before)), dict(_leaves(after))
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return {name: was.get(name) for name in names}, {name: now.get(name) for name in names}


def _leaves(tree: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            found += _leaves(value, f"{above}{name}.")
        else:
            found.append((f"{above}{name}", value))
    return found
