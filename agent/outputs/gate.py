"""What an output asks of whatever moves its gate."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from agent.errors import PlumblineError


class GateError(PlumblineError):
    """The gate did not answer, or refused; says place, cause and remedy."""


@runtime_checkable
class ShowsLevel(Protocol):
    """A gate that says how it stands."""

    def level(self) -> bool:
        """Whether it is high, as the other side has it; raises GateError."""


class Gate(Protocol):
    """One output, for one thread. Each call returns or raises GateError within a second or two."""

    def open(self) -> None:
        """Get hold of it; it stays as it is."""

    def set(self, high: bool) -> None:
        """Return when the other side has answered that the output has this level."""

    def beat(self, high: bool) -> None:
        """Give the heartbeat this level; does nothing where the settings name none."""

    def close(self) -> None:
        """Let go of it, also after an `open` that failed. Never raises."""
