"""Which product is taught at a station, by whom, and whether that was going on: it outlives the agent."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent import durable
from agent.foreign import shown
from agent.settings import bounded
from agent.settings.section import Identifier
from agent.teach.state import FlowError

CURRENT = "current.json"
MAX_BYTES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """`runs`: it was going on when this was written, and goes on when the agent starts again."""

    product: Identifier
    who: str
    runs: bool


_LAST = TypeAdapter(Last)


class Current:
    """One file. Raises FlowError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Last | None:
        """None where nobody taught anything yet."""
        try:
            if not os.path.lexists(self._path):
                return None
            return _LAST.validate_json(bounded.read(self._path, max_bytes=MAX_BYTES), strict=True)
        except (bounded.UnreadableError, ValidationError) as error:
            raise FlowError(f"{shown(str(self._path))}: cannot be read; begin again") from error

    def keep(self, last: Last) -> None:
        """On the disk when this returns; or the one before stands."""
        try:
            durable.replace_file(self._path, [json.dumps(asdict(last)).encode()])
        except OSError as error:
            raise FlowError(
                f"{shown(str(self._path))}: not written ({error.strerror}); make room, then go on"
            ) from error
