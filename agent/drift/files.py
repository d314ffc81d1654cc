"""References on the disk, beside the outbox: each whole or not there.

FOLDER/<16 hex digits>.json  a reference, named by camera and recipe
FOLDER/<16 hex digits>.png   its typical part
FOLDER/<16 hex digits>-now.json  how the newest frames stand to it; for people, never read by the agent
FOLDER/<result_id>-now-then.png  a change that was told: now beside then
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.drift import pictures
from agent.drift.reference import Reference
from agent.durable import replace_file
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.messages import Pixels
from agent.settings import bounded
from agent.settings.settings import Settings

FOLDER = "drift"
MAX_BYTES = 100_000
KEPT = 32  # pictures of changes
CHANGE = "-now-then.png"


class DriftError(PlumblineError):
    """References cannot be read or written; names the place and the remedy."""


def folder_of(wanted: Settings) -> Path:
    """Beside the outbox."""
    return wanted.outbox.path.parent / FOLDER


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Of one station."""

    folder: Path

    def path_of(self, camera: str, recipe: str) -> Path:
        """Of a reference, which may not be there."""
        name = hashlib.sha256(f"{camera}\0{recipe}".encode(errors="surrogateescape")).hexdigest()[:16]
        return self.folder / f"{name}.json"

    def write(self, reference: Reference, picture: Pixels | None) -> None:
        """Durable; the picture first, so that none is missing. Raises DriftError."""
        path = self.path_of(reference.camera, reference.recipe)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if picture is not None:
                replace_file(path.with_suffix(".png"), [pictures.to_png(picture)])
            replace_file(path, [reference.model_dump_json(by_alias=True, indent=1).encode()])
        except OSError as error:
            raise DriftError(
                f"{shown(str(path))}: cannot be written ({error.strerror}); free space, or give this user"
                " write permission to the folder"
            ) from error

    def read(self, camera: str, recipe: str) -> tuple[Reference, Pixels | None] | None:
        """None where there is none. Raises DriftError for one that cannot be relied on."""
        path = self.path_of(camera, recipe)
        if not path.exists():
            return None
        reference = read_reference(path)
        if (reference.camera, reference.recipe) != (camera, recipe):
            raise DriftError(f"{shown(str(path))}: is of another camera or recipe; delete it")
        picture = None
        with suppress(bounded.UnreadableError, pictures.NoPicture):
            picture = pictures.of_png(
                bounded.read(path.with_suffix(".png"), max_bytes=pictures.MAX_PNG_BYTES)
            )
        return reference, picture

    def all(self) -> list[Reference]:
        """Those that can be read."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            if not path.stem.endswith("-now"):
                with suppress(DriftError):
                    found.append(read_reference(path))
        return found

    def forget(self, camera: str, recipe: str) -> bool:
        """Whether there was one; the running station learns anew then. Raises DriftError."""
        path = self.path_of(camera, recipe)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise DriftError(f"{shown(str(path))}: cannot be deleted ({error.strerror})") from error
        for beside in (path.with_suffix(".png"), self._now(path)):
            with suppress(OSError):
                beside.unlink()
        return True

    def tell_now(self, camera: str, recipe: str, view: Mapping[str, Any]) -> None:
        """Not synced: nothing rests on it."""
        path = self._now(self.path_of(camera, recipe))
        unfinished = path.with_name(f".{path.name}.part")
        with suppress(OSError):
            unfinished.write_bytes(json.dumps(view).encode())
            unfinished.replace(path)

    def now(self, camera: str, recipe: str) -> dict[str, Any] | None:
        """What was told last."""
        try:
            found = json.loads(bounded.read(self._now(self.path_of(camera, recipe)), max_bytes=MAX_BYTES))
        except (bounded.UnreadableError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def keep_change(self, result_id: str, picture: Pixels) -> Path | None:
        """Now beside then; None where it could not be kept."""
        path = self.folder / f"{result_id}{CHANGE}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, [pictures.to_png(picture)])
            for old in sorted(self.folder.glob(f"*{CHANGE}"))[:-KEPT]:  # ids grow with time
                old.unlink(missing_ok=True)
        except OSError:
            return None
        return path

    def _now(self, path: Path) -> Path:
        return path.with_name(f"{path.stem}-now.json")


def read_reference(path: Path) -> Reference:
    """Raises DriftError."""
    try:
        return Reference.model_validate_json(bounded.read(path, max_bytes=MAX_BYTES), strict=True)
    except (bounded.UnreadableError, ValidationError) as error:
        why = str(error) if isinstance(error, bounded.UnreadableError) else "it is not what was written"
        raise DriftError(f"{shown(str(path))}: cannot be relied on: {why}; delete it") from error
