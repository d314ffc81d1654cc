"""What a rollout uses and does not have itself: bytes, a proof, and the line that serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.contract.desired import Source
from agent.remote.transaction import Proven


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a signed instruction names: `size_bytes` of all files together, of which no more is taken."""

    sha256: str  # of the manifest
    size_bytes: int
    sources: tuple[Source, ...]  # tried in this order


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a fetch is."""

    bytes_done: Mapping[str, int]  # of each file, as it is on the disk
    size_bytes: int
    trouble: str | None  # why it stands, for people; None while bytes come
    linked_s: float  # how long a source has answered, this call: what a deadline counts


class Fetch(Protocol):
    """Bytes of a bundle, from wherever they are, into the depot's candidate."""

    def __call__(
        self,
        order: Order,
        *,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
        time_left_s: float,
    ) -> None:
        """The candidate is whole and synced when this returns; goes on with what is there already.

        Waits for sources that are lost. Raises a PlumblineError with a `code`, or soon after `cancelled` says
        True.
        """


class Prove(Protocol):
    """A bundle is tried on this machine, while another one serves."""

    def __call__(self, candidate: Path, incumbent: Path | None, *, cancelled: Callable[[], bool]) -> Proven:
        """Raises a PlumblineError with a `code` and what was found so far in `proof`, or soon after
        `cancelled` says True.
        """


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

    def used(self) -> frozenset[str]:
        """Every bundle that the lines judge by or may come to judge by, which is never cleaned up."""
