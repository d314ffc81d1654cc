"""What the teaching flow keeps in its folder: where it stands, and what was measured of the parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, get_args

from pydantic import ConfigDict, FiniteFloat, TypeAdapter

from agent import durable
from agent.contract import strict_json
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings import bounded

Step: TypeAlias = Literal["collect", "check", "teach", "threshold", "activate", "done"]
STEPS: tuple[Step, ...] = get_args(Step)
STATE, MEASURED = "teach.json", "measured.json"
SCHEMA = "plumbline.teach/1"
MAX_BYTES = 4_000_000  # of a file of its own, for as many parts as there may be


class FlowError(PlumblineError):
    """The step cannot be done; says what is wanted, and the state is as it was."""


class CancelledError(FlowError):
    """Somebody wants no more of it: what is half done is taken back, and then it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where it stands; what a step has found stays when later ones are done."""

    product: str
    source: str
    wanted: int
    target: float
    camera: str = ""
    step: Step = "collect"
    bundle: str = ""  # its digest, of what was measured
    checked: Mapping[str, Any] = field(default_factory=dict)  # pictures, findings, words
    kept: tuple[str, ...] = ()  # pictures that somebody wants, whatever is found of them
    preset: Literal["", "nano", "edge"] = ""  # of a bundle of its own; none: the one in force is calibrated
    minutes: float = 30.0  # that its training may take
    trained: Mapping[str, Any] = field(default_factory=dict)  # of, bundle, sha256, preset, held, lines
    before: float | None = None  # `judge.threshold`, while it is taken out for the trained bundle
    taught: Mapping[str, Any] = field(default_factory=dict)  # tried, scores of made-up defects, held
    promised: Mapping[str, Any] = field(default_factory=dict)  # `weighing.told`, sees, histogram, held
    activated: Mapping[str, Any] = field(default_factory=dict)  # what the station said

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How far a step is."""

    step: Step
    done: int
    of: int
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Of each part in the set its score and level, by `bundle`."""

    bundle: str
    parts: Mapping[str, tuple[FiniteFloat, FiniteFloat]]


_STATE: TypeAdapter[State] = TypeAdapter(State)
_MEASURED: TypeAdapter[Measured] = TypeAdapter(Measured)


def state_in(folder: Path) -> State | None:
    """None where nothing was begun. Raises FlowError."""
    path = folder / STATE
    try:
        if not path.exists():
            return None
        content = strict_json.parse(bounded.read(path, max_bytes=MAX_BYTES))
        if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
            raise ValueError("it is of another program")
        return _STATE.validate_json(json.dumps(content), strict=True)
    except (OSError, ValueError, bounded.UnreadableError) as error:
        raise FlowError(f"{shown(str(path))}: cannot be read; remove that folder") from error


def keep_state(folder: Path, state: State) -> None:
    """Durable on return. Raises FlowError; what was kept stays."""
    _write(folder / STATE, {"schema": SCHEMA, **asdict(state)})


def measured_in(folder: Path) -> Measured:
    """Raises FlowError."""
    path = folder / MEASURED
    try:
        return _MEASURED.validate_json(bounded.read(path, max_bytes=MAX_BYTES))
    except (ValueError, bounded.UnreadableError) as error:
        raise FlowError(f"{shown(str(path))}: cannot be read; remove that folder, and begin anew") from error


def keep_measured(folder: Path, measured: Measured) -> None:
    """As `keep_state`."""
    _write(folder / MEASURED, asdict(measured))


def not_written(path: Path, error: OSError) -> FlowError:
    """In words."""
    return FlowError(f"{shown(str(path))}: not written ({error.strerror}); make room, then go on again")


def _write(path: Path, content: Mapping[str, Any]) -> None:
    try:
        durable.replace_file(path, [json.dumps(content, indent=1).encode()])
    except OSError as error:
        raise not_written(path, error) from error
