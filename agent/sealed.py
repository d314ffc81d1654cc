"""JSON that tells when it is not what was written: its format, the digest of its content, and the content."""

from __future__ import annotations

import hashlib
import json
from typing import Any


class UnsealedError(Exception):
    """It is of another format, or not what was written."""


def seal(content: Any, *, kind: str, name: str) -> bytes:
    """A file with `content`, which is plain JSON, under `name`; `kind` is its format."""
    whole = {"format": kind, "sha256": digest(content), name: content}
    return (json.dumps(whole, indent=1) + "\n").encode()


def unseal(data: bytes, *, kind: str, name: str) -> Any:
    """The content. Raises UnsealedError."""
    try:
        whole = json.loads(data)
        if whole["format"] == kind and whole["sha256"] == digest(whole[name]):
            return whole[name]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnsealedError from error
    raise UnsealedError


def digest(content: Any) -> str:
    """SHA-256 of the canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
