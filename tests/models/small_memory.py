"""A memory of few good parts, where what is held against it is not the point."""

from __future__ import annotations

import pytest

from models.judging import standing, yardstick


def small_memory(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(yardstick, "KEPT", 40)
    for file in (yardstick, standing):
        patch.setattr(file, "PAIRS", 8)
