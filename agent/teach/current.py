"""Which product is taught at a station, by whom, and whether that was going on: it outlives the agent."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from agent import durable
from agent.contract import strict_json
from agent.foreign import shown
from agent.teach.flow import FlowError

CURRENT = "current.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """`runs`: it was going on when this was written, and goes on when the agent starts again."""

    product: str
    who: str
    runs: bool


class Current:
    """One file. Raises FlowError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Last | None:
        """None where nobody taught anything yet."""
        try:
            found = strict_json.parse(self._path.read_bytes())
            if not isinstance(found, dict):
                raise TypeError("no object")
            return Last(**found)
        except FileNotFoundError:
            return None
        except (OSError, TypeError, strict_json.StrictJsonError) as error:
            raise FlowError(f"{shown(str(self._path))}: cannot be read; begin again") from error

    def keep(self, last: Last) -> None:
        """On the disk when this returns; or the one before stands."""
        try:
            durable.replace_file(self._path, [json.dumps(asdict(last)).encode()])
        except OSError as error:
            raise FlowError(
                f"{shown(str(self._path))}: not written ({error.strerror}); make room, then go on"
            ) from error
