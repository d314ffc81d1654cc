"""The durable record of a rollout: one small file, whole or not there, wherever a power cut falls."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agent.durable import replace_file
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.remote.rollout.transaction import Record
from agent.settings import bounded

RECORD = "rollout.json"  # its name in a depot
FORMAT = "plumbline.rollout/1"
MAX_BYTES = 1_000_000
NO_ROOM = 507

_RECORD = TypeAdapter(Record)


class NotWritable(PlumblineError):
    """The record cannot be kept, and therefore nothing may be begun; says where and why."""

    code = NO_ROOM


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutFile:
    """The record at `path`."""

    path: Path

    def read(self) -> tuple[Record, str | None]:
        """What is kept; where it cannot be read, a fresh one and why. One that is not there is fresh, too."""
        place = shown(str(self.path))
        if not os.path.lexists(self.path):
            return Record(), None
        try:
            content = json.loads(bounded.read(self.path, max_bytes=MAX_BYTES))
            if content["format"] != FORMAT or content["sha256"] != digest(content["record"]):
                raise ValueError("not what was written")
            return _RECORD.validate_json(json.dumps(content["record"]), strict=True), None
        except (bounded.UnreadableError, ValidationError, ValueError, KeyError, TypeError, RecursionError):
            return Record(), f"{place}: cannot be read; what serves stays, what was under way is given up"

    def write(self, record: Record) -> None:
        """Durable when this returns. Raises NotWritable; then the one before is still there."""
        content = _RECORD.dump_python(record, mode="json")
        whole = {"format": FORMAT, "sha256": digest(content), "record": content}
        try:
            replace_file(self.path, [(json.dumps(whole, indent=1) + "\n").encode()])
        except OSError as error:
            raise NotWritable(
                f"{shown(str(self.path))}: cannot be written ({error.strerror}), and nothing is installed "
                "before it can be; make room, or give this user write permission to the folder"
            ) from error


def digest(content: Any) -> str:
    """SHA-256 of the canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
