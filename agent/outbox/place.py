"""Where an outbox may lie, and who holds it: what is looked at before the file is opened."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from agent.outbox.file import OutboxError, explained_os
from agent.settings.places import CONFIGURATION
from agent.users import user_name


class PlaceError(OutboxError):
    """The folder is not the agent's: no other start changes that."""


def check_place(path: Path) -> None:
    """That the folder is there: a disk that is not mounted must not become a folder on another one.

    And that nothing is there but a file: who opens a pipe waits for ever. Raises OutboxError, PlaceError
    where the agent may not write.
    """
    folder = path.parent
    try:
        there = folder.is_dir()
        special = path.exists() and not path.is_file()
    except OSError as error:
        raise explained_os(path, error) from error
    if not there:
        tilde = any(part.startswith("~") for part in path.parts)
        remedy = "~ is not expanded here, write the whole path" if tilde else "mount its disk, or make it"
        raise OutboxError(f"{path}: the folder must exist, and {folder} does not; {remedy}")
    if special:
        raise OutboxError(f"{path}: is a folder, a device or a pipe; name a file on a disk")
    for place in (folder, *(one for one in (path, lock_of(path)) if one.exists())):
        if not os.access(place, os.W_OK):
            owner, user = user_name(place.stat().st_uid), user_name(os.geteuid())
            remedy = f"chown -R {user} {folder}, or set outbox.path to another folder"
            if folder.resolve() == CONFIGURATION:  # which has secrets, and settings that are root's
                remedy = "take outbox.path out of the settings, and it is where the service keeps its state"
            raise PlaceError(
                f"{path}: {place} belongs to {owner} and the agent runs as {user}, who may not write there; "
                f"{remedy}"
            )


def lock_of(path: Path) -> Path:
    """The file whose lock an agent holds while it has the outbox at `path`."""
    return path.with_name(path.name + ".lock")


def lock(path: Path) -> IO[str]:
    """Keep other agents off `path` until the answer is closed. Raises OutboxError when one has it."""
    check_place(path)
    beside = lock_of(path)
    try:
        held = beside.open("a+")
    except OSError as error:
        raise explained_os(beside, error) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.seek(0)
        owner = held.read().strip() or "unknown"
        held.close()
        raise OutboxError(
            f"{path}: another agent has it (process {owner}); stop that one or set outbox.path to another "
            "file"
        ) from None
    held.truncate(0)
    held.write(f"{os.getpid()}\n")
    held.flush()
    return held
