"""What the desk needs around itself: where commands wait, what has run, and the way back."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from agent.contract.inbound import Inbound


class Memory(Protocol):
    """Which commands have run. Each may raise; the one who asked is told."""

    def remember(self, command_id: str, now: datetime) -> None:
        """This command has run; durable on return, and kept while a broker may send it again."""

    def seen(self, command_id: str) -> bool:
        """Whether it has been remembered."""


class SignedMemory(Protocol):
    """Which signed commands have run, for as long as anybody could send them again. Each may raise."""

    def has(self, id_: str) -> bool: ...

    def add(self, id_: str) -> None:
        """Durable on return."""


class Inbox(Protocol):
    """Where commands wait."""

    def get(self, *, timeout: float) -> Inbound:
        """The oldest; raises queue.Empty when none comes within `timeout` seconds."""


class Answers(Protocol):
    """The way back. Neither raises."""

    def respond(
        self, topic: str, payload: bytes, correlation_data: bytes | None, *, is_last: bool = True
    ) -> None:
        """Publish one answer; the last one to a command waits for a connection."""

    def acknowledge(self, inbound: Inbound) -> None:
        """Tell the broker that it need not send this message again, once it has the answers before."""
