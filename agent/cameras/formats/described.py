"""What the formats' readers tell of a file before its pixels are decoded."""

from __future__ import annotations

from dataclasses import dataclass


class Damaged(Exception):
    """The bytes are not what a whole file of their format has; the message says what is wrong."""


class Unjudgeable(Exception):
    """Whether the file is whole cannot be told; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """From the header alone."""

    width: int
    height: int
    pages: int = 1  # pictures that stand in one file beside each other
