"""The last proofs of bundles, as the page shows them: read from their folder when somebody asks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.remote.proof.document import Found
from agent.remote.proof.worst import DOCUMENT, PICTURE, PROOF, proofs
from agent.settings import bounded

MAX_DOCUMENT_BYTES = 256_000
MAX_PICTURE_BYTES = 4_000_000


def documents(folder: Path | None) -> list[dict[str, Any]]:
    """What was found, the newest first, each picture as an address relative to the page; damaged ones not."""
    found = []
    for place in [] if folder is None else proofs(folder):
        try:
            data = bounded.read(place / DOCUMENT, max_bytes=MAX_DOCUMENT_BYTES)
            content = Found.model_validate_json(data).model_dump(mode="json", by_alias=True)
        except (bounded.UnreadableError, ValidationError):
            continue
        for one in content["worst"]:
            names = one["pictures"].items()
            one["pictures"] = {which: f"api/proofs/{place.name}/{name}" for which, name in names}
        found.append(content)
    return found


def picture(folder: Path | None, sha256: str, name: str) -> bytes | None:
    """A JPEG; None where there is none of that name."""
    if folder is None or not re.fullmatch(PROOF, sha256) or not re.fullmatch(PICTURE, name):
        return None
    try:
        return bounded.read(folder / sha256 / name, max_bytes=MAX_PICTURE_BYTES)
    except bounded.UnreadableError:
        return None
