"""The durable record of a rollout: one small file, whole or not there, wherever a power cut falls."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.durable import replace_file
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.remote.rollout.transaction import Record
from agent.sealed import UnsealedError, seal, unseal
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
            content = unseal(bounded.read(self.path, max_bytes=MAX_BYTES), kind=FORMAT, name="record")
            return _RECORD.validate_json(json.dumps(content), strict=True), None
        except (bounded.UnreadableError, UnsealedError, ValidationError):
            return Record(), f"{place}: cannot be read; what serves stays, what was under way is given up"

    def write(self, record: Record) -> None:
        """Durable when this returns. Raises NotWritable; then the one before is still there."""
        content = _RECORD.dump_python(record, mode="json")
        try:
            replace_file(self.path, [seal(content, kind=FORMAT, name="record")])
        except OSError as error:
            raise NotWritable(
                f"{shown(str(self.path))}: cannot be written ({error.strerror}), and nothing is installed "
                "before it can be; make room, or give this user write permission to the folder"
            ) from error
