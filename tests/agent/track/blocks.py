"""A web whose every line says its number, and the blocks a camera cuts from it."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np

from agent.messages import Flags, Frame, Pixels

WIDTH = 4
TICKS = 3
NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def content(first: int, count: int) -> Pixels:
    """Lines as pixels: the line number in base 256, one digit for each column."""
    numbers = np.arange(first, first + count, dtype=np.int64)[:, np.newaxis]
    digits = numbers >> (8 * np.arange(WIDTH, dtype=np.int64)) & 0xFF
    return digits.astype(np.uint8)[:, :, np.newaxis]


def numbers(image: Pixels) -> list[int]:
    """The line numbers that an image shows."""
    weights = 256 ** np.arange(WIDTH, dtype=np.int64)
    return [int(number) for number in image[:, :, 0].astype(np.int64) @ weights]


def block(
    first: int,
    lines: int,
    frame_id: int,
    *,
    lines_lost: int = 0,
    valid: Flags | None = None,
    encoder: int | None = None,
) -> Frame:
    """A block that shows its own coordinate; its time is its id."""
    return Frame(
        camera="top",
        frame_id=frame_id,
        image=content(first, lines),
        captured_ns=frame_id,
        captured_at=NOON,
        first_line=first,
        encoder=first * TICKS if encoder is None else encoder,
        lines_lost=lines_lost,
        valid=valid,
    )
