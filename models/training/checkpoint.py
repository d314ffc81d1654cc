"""Checkpoints that a power cut cannot tear: written beside, synced, renamed."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from agent.durable import sync_folder
from agent.errors import PlumblineError
from models.parts.weights import UNREADABLE


class CheckpointError(PlumblineError):
    """A file that no finished save left here; says what to do with it."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Replace `path` by `state` at once or not at all; state dicts and plain values only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial")
    with beside.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def load(path: Path) -> dict[str, Any] | None:
    """The state in `path`, None when there is none. Raises CheckpointError for damage and pickled objects."""
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, *UNREADABLE) as error:
        raise CheckpointError(
            f"{path}: damaged, or not of plain tensors and values; remove it and train again"
        ) from error
    return state


def fill(module: nn.Module, state: dict[str, Any], path: Path) -> None:
    """Load `state`, read from `path`, into `module`. Raises CheckpointError when it is another model's."""
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        last = str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(
            f"{path}: of another shape than what its folder describes ({last}); remove it and train again"
        ) from error
