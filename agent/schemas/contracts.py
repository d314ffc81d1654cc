"""The names of what `plumbline schema` prints; apart, since the documents themselves take long to import."""

from __future__ import annotations

from typing import Literal, TypeAlias

Contract: TypeAlias = Literal[
    "settings",
    "verdict",
    "event",
    "mark",
    "head",
    "actuation",
    "part",
    "status",
    "metrics",
    "command",
    "signed-command",
    "reported",
    "desired-settings",
    "desired-bundle",
    "asyncapi",
]
