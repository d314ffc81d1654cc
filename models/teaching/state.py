"""What a run of teaching was begun as, and what became of it, in its folder. Needs no torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from agent import durable
from agent.errors import PlumblineError
from agent.foreign import shown
from models.teaching.plan import Preset

STATE = "teach.json"
SCHEMA = "plumbline-lab.teach/1"


class TeachError(PlumblineError):
    """It cannot go on; says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What this run was begun as, and what became of it."""

    digest: str  # of the pictures
    preset: Preset
    teacher_images: int
    student_images: int
    target: float
    name: str
    minutes: float
    tries: int = 1
    is_resized: bool = False


def read_state(out: Path) -> State | None:
    """None where nothing was begun. Raises TeachError."""
    try:
        content = json.loads((out / STATE).read_bytes())
        if content.pop("schema", None) != SCHEMA:
            raise ValueError
        return State(**content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise TeachError(f"{shown(str(out / STATE))}: cannot be read; give another --out") from error


def save(out: Path, state: State) -> None:
    durable.replace_file(out / STATE, [json.dumps({"schema": SCHEMA, **asdict(state)}, indent=1).encode()])
