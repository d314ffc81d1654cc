"""Checkpoints that a power cut cannot tear: written beside, synced, renamed; in a store put as a whole."""

from __future__ import annotations

import os
import pickle
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from agent.durable import sync_folder
from agent.errors import PlumblineError
from models.parts.weights import UNREADABLE
from models.store import ObjectPath, Place, local


class CheckpointError(PlumblineError):
    """A file that no finished save left here; says what to do with it."""


def save(path: Place, state: dict[str, Any]) -> None:
    """Replace `path` by `state`, of plain values, whole or not at all. Raises OSError, StoreError."""
    if isinstance(path, ObjectPath):
        with _temporary(path) as here:
            with here.open("wb") as file:
                torch.save(state, file)
            path.put_file(here)
        return
    here = local(path)
    here.parent.mkdir(parents=True, exist_ok=True)
    beside = here.with_suffix(".partial")
    with beside.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(here)
    sync_folder(here.parent)


def load(path: Place) -> dict[str, Any] | None:
    """The state in `path`, None when there is none.

    Raises CheckpointError for damage and pickled objects, StoreError where a store does not say.
    """
    if not path.is_file():
        return None
    if isinstance(path, ObjectPath):
        with _temporary(path) as here:
            path.get_file(here)
            return _read(here, path)
    return _read(local(path), path)


@contextmanager
def _temporary(path: ObjectPath) -> Iterator[Path]:
    """A file of this machine, as long as it is needed: torch writes and reads by seeking."""
    try:
        with tempfile.TemporaryDirectory(prefix="plumbline-") as folder:
            yield Path(folder, "state.pt")
    except OSError as error:
        raise CheckpointError(
            f"{path}: passes through {tempfile.gettempdir()}, where it cannot be written ({error.strerror}); "
            "make room there, or set TMPDIR to another folder"
        ) from error


def _read(here: Path, path: Place) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(here) as members:
            if (member := members.testzip()) is not None:  # torch itself compares no checksum
                raise ValueError(f"{member} is not what was written")
        state: dict[str, Any] = torch.load(here, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        NotImplementedError,
        zlib.error,
        *UNREADABLE,
    ) as error:
        raise CheckpointError(
            f"{path}: damaged, or not of plain tensors and values; remove it and train again"
        ) from error
    return state


def fill(module: nn.Module, state: dict[str, Any], path: Place) -> None:
    """Load `state`, read from `path`, into `module`. Raises CheckpointError when it is another model's."""
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        last = str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(
            f"{path}: of another shape than what its folder describes ({last}); remove it and train again"
        ) from error
