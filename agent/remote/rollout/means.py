"""What a rollout uses and does not have itself: a depot, bytes, a proof, and the lines that serve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.bundle.bundle import Bundle
from agent.clock import Clock
from agent.errors import PlumblineError
from agent.remote.rollout.depot import Depot
from agent.remote.rollout.recorded import UNRECORDED, Recorded
from agent.remote.rollout.telling import Tell
from agent.remote.rollout.transaction import Proven
from agent.remote.rollout.witness import Witness
from agent.remote.transport.fetch import Fetch
from agent.settings.remote import Probation


class NotReadyError(PlumblineError):
    """This station has no room for one more bundle; none is to blame for it."""

    code = 507


class Prove(Protocol):
    """A bundle is tried on this machine, while another one serves."""

    def __call__(self, candidate: Path, incumbent: Path | None, *, cancelled: Callable[[], bool]) -> Proven:
        """Raises a PlumblineError with a `code` and what was found so far in `proof`, or soon after
        `cancelled` says True.
        """


class Turn(Protocol):
    """Beside settings, which are tried on the same lines."""

    def begin_bundle(self) -> str | None:
        """Have the lines for a bundle's switch and probation; why that has to wait, where it does."""

    def go_on_with_bundle(self) -> None:
        """One was on probation before this run."""

    def end_bundle(self) -> None:
        """It is over, or does not want to be switched any more."""


class Stage(Protocol):
    """The lines, and the bundles that they can judge by."""

    def open(self, path: Path) -> None:
        """Have this bundle ready beside those that are, its engine too; may take minutes, or be so already.

        Raises PlumblineError.
        """

    def take_over(self, sha256: str) -> None:
        """Every line judges by this open bundle from its next frame or part on. Raises PlumblineError."""

    def withdraw(self) -> None:
        """No bundle judges from the next frame on; every trigger still gets its record."""

    def in_force(self) -> str | None:
        """The bundle that the lines judge by; None for none."""

    def settle(self) -> None:
        """A rollout is over: what no line judges by need not be ready any more."""

    def used(self) -> frozenset[str]:
        """Every bundle that the lines judge by or may come to judge by, which is never cleaned up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """All of that together. `trusted` raises a PlumblineError."""

    depot: Depot
    fetch: Fetch
    prove: Prove
    stage: Stage
    turn: Turn
    trusted: Callable[[Bundle], None]
    witness: Witness
    limits: Probation
    kept_free: int  # bytes that stay free on the disk
    tell: Tell
    clock: Clock
    recorded: Recorded = UNRECORDED
