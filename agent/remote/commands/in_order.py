"""Messages are acknowledged in the order in which they came, whatever order they are answered in.

MQTT asks for this order (section 4.6 of 3.1.1 and of 5), and some brokers insist on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from agent.contract.inbound import Inbound


@dataclass(slots=True, eq=False)
class Taken:
    """A message that was taken and is not acknowledged yet."""

    inbound: Inbound
    answered: bool = False


class InOrder:
    """For one thread."""

    def __init__(self, acknowledge: Callable[[Inbound], None]) -> None:
        self._acknowledge = acknowledge
        self._open: deque[Taken] = deque()

    def __len__(self) -> int:
        """How many are not acknowledged."""
        return len(self._open)

    def take(self, inbound: Inbound) -> Taken:
        taken = Taken(inbound)
        self._open.append(taken)
        return taken

    def answered(self, taken: Taken) -> None:
        """Acknowledge it, and those behind it that were answered before; or wait for those before it."""
        taken.answered = True
        while self._open and self._open[0].answered:
            self._acknowledge(self._open.popleft().inbound)
