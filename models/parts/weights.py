"""Published weights, read without running anything that they carry, and never taken in part.

Every net that somebody else trained comes through here. Files are tensors and plain values: safetensors, or
pickles by torch's restricted reader. A folder is read by its library, as safetensors only.
"""

from __future__ import annotations

import argparse
import pickle
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from agent.errors import PlumblineError

NAMED = 3  # keys in an error; the others are counted
WRAPPERS = ("model", "state_dict")  # under which training scripts keep the tensors
# What torch's reader makes of a file that is none.
UNREADABLE = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


class WeightsError(PlumblineError):
    """Published weights are not where they should be, or not what they should be; says what to do."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The tensors of a file, and what its training script noted beside them."""

    path: Path
    tensors: Mapping[str, Tensor]
    options: Mapping[str, Any]


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises WeightsError for what is no file of tensors, carries code, or holds a number that is none."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give the published checkpoint itself")
    content = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    wrapped = next((content[name] for name in WRAPPERS if isinstance(content.get(name), Mapping)), content)
    tensors = {str(name): value for name, value in wrapped.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path}: holds no tensors; give the published checkpoint itself")
    refuse_unfinite(tensors, path)
    options = content.get("args")
    return Checkpoint(
        path=path,
        tensors=tensors,
        options=vars(options) if isinstance(options, argparse.Namespace) else {},
    )


def fill(
    net: nn.Module,
    tensors: Mapping[str, Tensor],
    path: Path,
    remedy: str,
    names: Mapping[str, str] | None = None,
) -> None:
    """All weights of `net` from `tensors`, all of them used; `names` says what the file calls each of them.

    Raises WeightsError that names what differs, as the file calls it; the net is as it was then.
    """
    called = names or {name: name for name in net.state_dict()}
    wanted = {called[name]: one for name, one in net.state_dict().items()}
    shapes = {
        name: f"{name} is {_size(tensors[name])} in place of {_size(wanted[name])}"
        for name in wanted.keys() & tensors.keys()
        if tensors[name].shape != wanted[name].shape
    }
    refuse_difference(
        path,
        missing=wanted.keys() - tensors.keys(),
        unexpected=tensors.keys() - wanted.keys(),
        shapes=[shapes[name] for name in sorted(shapes)],
        remedy=remedy,
    )
    net.load_state_dict({name: tensors[called[name]] for name in net.state_dict()})


def load_folder(kind: Any, folder: Path, remedy: str, spare: tuple[str, ...] = (), **options: Any) -> Any:
    """A net of `diffusers` or `transformers` from its folder.

    Keys that begin with one of `spare` are parts that the net does without. Raises WeightsError for a folder
    without weights in safetensors, and for one whose weights are not exactly those of the net.
    """
    try:
        net, found = kind.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, output_loading_info=True, **options
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise WeightsError(f"{folder}: {error} {remedy}") from error
    except RuntimeError as error:  # weights of another size
        last = [line.strip() for line in str(error).splitlines() if "mismatch" in line][:NAMED]
        raise WeightsError(f"{folder}: weights of another shape: {'; '.join(last)}; {remedy}") from error
    refuse_difference(
        folder,
        missing=found["missing_keys"],
        unexpected=[name for name in found["unexpected_keys"] if not name.startswith(spare or ("\0",))],
        shapes=[],
        remedy=remedy,
    )
    refuse_unfinite(net.state_dict(), folder)
    return net


def refuse_difference(
    path: Path, *, missing: Iterable[str], unexpected: Iterable[str], shapes: list[str], remedy: str
) -> None:
    """Raises WeightsError unless all three are empty."""
    found = []
    if lacks := sorted(missing):
        found.append(f"lacks {len(lacks)} weights: {_some(lacks)}")
    if more := sorted(unexpected):
        found.append(f"has {len(more)} that this net has no place for: {_some(more)}")
    if shapes:
        found.append(f"has {len(shapes)} of another shape: {_some(shapes)}")
    if found:
        raise WeightsError(f"{path}: {'; '.join(found)}; {remedy}")


def refuse_unfinite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raises WeightsError that names the tensors with a NaN or an infinity in them."""
    bad = [name for name, one in tensors.items() if one.is_floating_point() and not one.isfinite().all()]
    if bad:
        raise WeightsError(
            f"{path}: {len(bad)} tensors hold numbers that are none (NaN or infinite): {_some(sorted(bad))}; "
            "the file is damaged or its training had diverged: get it again"
        )


def _safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: damaged, or no safetensors ({error}); get it again") from error


def _pickled(path: Path) -> dict[str, Any]:
    try:
        # A namespace of options is a plain bag of values: reading it runs nothing.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: is no file of plain tensors: it is damaged, or carries Python objects, which could run "
            "code and were not opened; have whoever made it save its tensors alone, best as safetensors"
        ) from error
    except UNREADABLE as error:
        raise WeightsError(f"{path}: damaged, or no checkpoint of torch; get it again") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: holds a {type(content).__name__}, no named tensors")
    return content


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"
