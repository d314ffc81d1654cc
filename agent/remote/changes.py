"""Who changed what on a station, before and after: one line of JSON a change, for good.

    changes.jsonl          the newest; what was cut off by a crash, or is damaged, is passed over when read
    changes-before.jsonl   those before, once the newest file is full

A record that cannot be written is said in the log and stops nothing: what was done holds.
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

Way: TypeAlias = Literal["page", "command", "asked", "file", "document", "station"]
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

    Settings are `asked` for by page or command, which have a record of their own; by `station` it went back.
    `before` and `after` have what differs alone, and of settings what they say; no logins.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: str
    who: Annotated[str, BeforeValidator(lambda who: str(who)[:TEXT])]
    way: Way
    what: str  # a command's name; settings; or an act of the page
    outcome: Outcome = "done"
    wanted: Told = {}  # what was asked for
    before: Told = {}
    after: Told = {}
    snapshot: str | None = None  # of settings: the name that revert takes


class ChangeFile:
    """Safe from any thread."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
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
        """On the disk when this returns, or said in the log. Raises nothing."""
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
                self._append(change.model_dump_json().encode() + b"\n")
        except (OSError, ValueError, TypeError) as error:
            log.error("change_not_recorded", what=what, who=shown(who), reason=shown(str(error))[:500])

    def last(self, limit: int) -> list[Change]:
        """The newest first; a file that cannot be read is left out."""
        found: list[Change] = []
        for path in (self._path, _before(self._path)):
            with suppress(bounded.UnreadableError):
                found += _read(path)
        return found[:limit]

    def _append(self, line: bytes) -> None:
        """Raises OSError."""
        descriptor = self._open()
        if os.fstat(descriptor).st_size + len(line) > FULL_BYTES:
            os.close(descriptor)
            self._path.replace(_before(self._path))
            descriptor = self._open()
        try:
            size = os.fstat(descriptor).st_size
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


def _before(path: Path) -> Path:
    return path.with_name(f"{path.stem}-before{path.suffix}")


def _read(path: Path) -> list[Change]:
    """Raises UnreadableError for what is there and cannot be read."""
    if not os.path.lexists(path):
        return []
    lines = bounded.read(path, max_bytes=2 * FULL_BYTES).splitlines()
    found = []
    for line in reversed(lines):
        try:
            found.append(Change.model_validate_json(line))
        except ValidationError:
            continue
    return found


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
