"""The outbox: place, holder, rows, and what waits. Nothing is written, not even a word of damage."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from agent.doctor.finding import Said, failed, note, ok, skipped, wrong
from agent.doctor.holder import holder_of
from agent.doctor.site import Site
from agent.outbox import file as outbox_file
from agent.outbox import reserve, sound
from agent.outbox.file import OutboxError
from agent.outbox.place import check_place, lock_of
from agent.outbox.schema import SCHEMA_VERSION

READ_S = 5.0  # of a large file only so much is read
STEPS = 100_000  # of SQLite's machine between two looks at the time
OLD_S = 3600.0
NONE_YET = "there is none yet; the agent's first start makes it"


def place(site: Site) -> Iterator[Said]:
    path = site.settings.outbox.path
    try:
        check_place(path)
    except OutboxError as error:
        yield failed(error, "set outbox.path to another file")
        return
    holder = holder_of(site.machine, lock_of(path))
    if holder is None:
        yield ok(f"{path}: can be written, and no agent has it now")
    elif holder.is_agent:
        yield ok(f"{path}: held by the running agent, process {holder.pid}")
    else:
        command = holder.command or "of another user"
        yield wrong(
            f"{path}: held by process {holder.pid} ({command}), which is no agent",
            "stop that program, or set outbox.path to another file",
        )


def integrity(site: Site) -> Iterator[Said]:
    path = site.settings.outbox.path
    if not path.exists():
        yield skipped(NONE_YET)
        return
    salvage = f"stop the agent, keep a copy, run `plumbline outbox salvage {path}`"
    if not os.access(path, os.R_OK):
        yield skipped(f"{path} may not be read by this user; run it as root or as the agent's user")
        return
    if path.stat().st_size == 0 and reserve.read(path) > 0:
        yield wrong(f"{path}: empty, though it had rows", "restart the agent: its start saves what it can")
        return
    if outbox_file.is_suspect(path):
        yield note(f"{path}: was found damaged", "restart the agent: its start saves what can be read")
    try:
        with closing(outbox_file.connect_to_read(path)) as database:
            yield _looked_through(database, path, salvage)
    except sqlite3.Error as error:
        yield wrong(f"{path}: cannot be read ({error})", salvage)


def waiting(site: Site) -> Iterator[Said]:
    """How much waits, for how long, and what was refused."""
    outbox = site.settings.outbox
    if not outbox.path.exists():
        yield skipped(NONE_YET)
        return
    try:
        with closing(outbox_file.connect_to_read(outbox.path)) as database:
            outbox_file.check_version(database, outbox.path)
            depth = outbox_file.measure(database, site.machine.clock)
    except (sqlite3.Error, OutboxError) as error:
        yield skipped(f"it cannot be read: {error}")
        return
    share = depth.bytes / outbox.max_bytes
    words = f"{depth.rows} rows wait, {depth.bytes / 1e6:.1f} MB, {share:.0%} of outbox.max_bytes"
    if share >= 0.9:
        yield wrong(words, "see why the broker does not take them (family broker), or raise outbox.max_bytes")
    else:
        yield ok(words)
    for reader in depth.readers:
        if reader.oldest_s > OLD_S:
            yield note(
                f"{reader.name}: the oldest of {reader.rows} rows waits for {reader.oldest_s / 3600:.1f} h",
                "see whether it can be reached, and what it refuses (`plumbline outbox status`)",
            )
        if reader.refused:
            yield note(
                f"{reader.name}: refused {reader.refused} rows",
                "`plumbline outbox status` says which and why",
            )


def _looked_through(database: sqlite3.Connection, path: Path, salvage: str) -> Said:
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        return wrong(
            f"{path}: schema version {version} was written by a newer agent, this one knows {SCHEMA_VERSION}",
            "install that version again, or set outbox.path to another file",
        )
    database.execute("BEGIN")  # all of one moment, beside an agent that writes
    found = None
    if version == SCHEMA_VERSION:
        found = sound.problem(database, path)
    elif version:
        found = None
    else:
        return wrong(f"{path}: is no outbox", "set outbox.path to another file")
    until = time.monotonic() + READ_S
    database.set_progress_handler(lambda: time.monotonic() > until, STEPS)
    try:
        answer = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        answer = ""
    if found is None and answer not in ("", "ok"):
        found = answer
    if found is not None:
        return wrong(f"{path}: damaged ({found})", salvage)
    read = "its pages are sound" if answer else f"the pages that were read within {READ_S:g} s are sound"
    size = path.stat().st_size / 1e6
    older = (
        ""
        if version == SCHEMA_VERSION
        else f"; schema version {version}, brought up to date at the next start"
    )
    return ok(f"{path}: {size:.1f} MB, {read}{older}")
