"""Folder: every record in files, one set for each day (UTC) on which it was made.

    verdicts-2026-11-24.jsonl       one verdict in each line
    events-2026-11-24.jsonl         one event in each line
    marks-2026-11-24.jsonl          what people said of one verdict in each line
    heads-2026-11-24.jsonl          one signed end of the chain of records in each line
    actuations-2026-11-24.jsonl     what an output did for one part in each line
    parts-2026-11-24.jsonl          one part verdict in each line
    crops/2026-11-24/RESULT-CROP.jpg

Everything is on the disk, synced, before a delivery counts. A line that a crash or a full disk cut
off is removed before the file is written again, and comes whole then; so a record may stand twice,
never in part. Pictures appear under their name when they are complete.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from agent.clock import Clock, Steps
from agent.contract.payloads import leaving
from agent.contract.row import Row, Waiting
from agent.durable import sync_folder, write_all
from agent.gateways.gateway import GatewayError, Unacceptable
from agent.settings.gateways import FolderGateway

SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png"}
BLOCK_BYTES = 65_536

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})T")
_KIND = re.compile(r"plumbline\.([a-z]+)/[1-9]")
_FILE_OF_A_DAY = re.compile(
    r"(?:(?:verdict|event|mark|head|part|actuation)s-)?(\d{4}-\d{2}-\d{2})(?:\.jsonl)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a row goes, from the gateway's folder: as a line of a file, or as a file."""

    file: Path
    is_line: bool


def place(row: Row) -> Place:
    """Where `row` goes. Raises ValueError for a row that has no place."""
    properties = dict(row.properties)
    day = _DAY.match(properties.get("time", ""))
    if day is None:
        raise ValueError(f"its time is {properties.get('time')!r}, not a date and time")
    if row.kind != "crop":
        if b"\n" in row.payload:
            raise ValueError("there is a line end in it, so it cannot be a line")
        kind = _KIND.fullmatch(properties.get("type", ""))
        if kind is None:
            raise ValueError(f"its type is {properties.get('type')!r}, not plumbline.NAME/1")
        return Place(file=Path(f"{kind[1]}s-{day[1]}.jsonl"), is_line=True)
    suffix = SUFFIXES.get(row.content_type)
    if suffix is None:
        raise ValueError(f"its content type is {row.content_type!r}, not one of {', '.join(SUFFIXES)}")
    ids = [properties.get(name, "") for name in ("result_id", "crop_id")]
    for one in ids:
        if not _ID.fullmatch(one):
            raise ValueError(f"{one!r} cannot stand in a file name")
    return Place(file=Path("crops", day[1], f"{'-'.join(ids)}{suffix}"), is_line=False)


class FolderSink:
    """Opens files for each delivery, so they may be moved away between two."""

    rows_at_a_time = 64

    def __init__(self, settings: FolderGateway, clock: Clock) -> None:
        self._folder = settings.path
        self._keep_days = settings.keep_days
        self._clock = clock
        self._steps = Steps(clock)
        self._pruned: date | None = None

    def open(self) -> None:
        try:
            self._folder.mkdir(exist_ok=True)  # not its parents: a disk may not be mounted
        except OSError as error:
            raise _explained(self._folder, error) from error

    def deliver(self, rows: Sequence[Waiting]) -> None:
        lines: dict[Path, list[bytes]] = {}
        refusal: Unacceptable | None = None
        try:
            self._folder.stat()  # gone with its disk it is not made anew by what follows
            self._prune(self._clock.utc_now())
            for waiting in rows:
                payload, _ = leaving(waiting)
                try:
                    there = place(waiting.row)
                except ValueError as error:
                    refusal = Unacceptable(waiting, f"{self._folder}: no place for it: {error}")
                    break
                if there.is_line:
                    lines.setdefault(there.file, []).append(payload)
                else:
                    write_whole(self._folder / there.file, payload)
            for file, payloads in lines.items():
                append_lines(self._folder / file, payloads)
        except OSError as error:
            raise _explained(self._folder, error) from error
        if refusal is not None:
            raise refusal

    def close(self) -> None:
        pass

    def _prune(self, now: datetime) -> None:
        """Once a day, delete the days before those that are kept; a clock that has stepped not for a day."""
        today = now.date()
        if not self._keep_days or self._pruned == today or self._steps.lately(now):
            return
        first_kept = (today - timedelta(days=self._keep_days)).isoformat()
        for file in [*self._folder.glob("*.jsonl"), *self._folder.glob("crops/*")]:
            day = _FILE_OF_A_DAY.fullmatch(file.name)
            if day is None or day[1] >= first_kept:
                continue
            if file.is_dir() and not file.is_symlink():
                shutil.rmtree(file)
            else:
                file.unlink()
        self._pruned = today


def append_lines(path: Path, lines: Sequence[bytes]) -> None:
    """Append to `path`, durably, after removing a line that was cut off. Raises OSError."""
    is_new = not path.exists()
    with path.open("a+b", buffering=0) as file:
        size = whole_lines_bytes(file.fileno())
        if size < os.fstat(file.fileno()).st_size:
            file.truncate(size)
        write_all(file.fileno(), b"".join(line + b"\n" for line in lines))
        os.fsync(file.fileno())
    if is_new:
        sync_folder(path.parent)


def whole_lines_bytes(descriptor: int) -> int:
    """How much of a file ends with its last line end."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(end - BLOCK_BYTES, 0)
        last = os.pread(descriptor, end - start, start).rfind(b"\n")
        if last >= 0:
            return start + last + 1
        end = start
    return 0


def write_whole(path: Path, content: bytes) -> None:
    """Have `content` at `path`, durably and at once. Raises OSError."""
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent.parent)
        sync_folder(path.parent.parent.parent)
    unfinished = path.with_name(f".{path.name}.part")
    with unfinished.open("wb", buffering=0) as file:
        write_all(file.fileno(), content)
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync_folder(path.parent)


def _explained(folder: Path, error: OSError) -> GatewayError:
    where = error.filename or folder
    match error.errno:
        case _ if isinstance(error, PermissionError):
            remedy = "let the agent's user write there"
        case _ if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
            remedy = "something else has this name; move it away or change path"
        case _:
            remedy = "free space on that disk, check its quota and its mount, or change path"
    return GatewayError(f"{where}: {error.strerror}; {remedy}")
