"""Moments as messages have them."""

from __future__ import annotations

from typing import Any


def text_in_utc(value: Any) -> Any:
    """For a validator: times are told in UTC, and as text."""
    if not isinstance(value, str) or not value.endswith("Z") or "T" not in value:
        raise ValueError("give UTC as 2026-11-24T14:30:00Z")
    return value
