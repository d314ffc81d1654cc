"""Who gives the defects of a part that failed their labels, after the verdict is decided."""

from __future__ import annotations

from typing import Protocol

from agent.line.record import Judged


class Names(Protocol):
    """Never changes a verdict, and never raises; passing parts come back as they are, at once."""

    def name(self, judged: Judged) -> Judged:
        """With labels on its defects, or why they have none; within what the recipe's settings allow."""


class NoNames:
    """Where nobody gives labels."""

    def name(self, judged: Judged) -> Judged:
        return judged
