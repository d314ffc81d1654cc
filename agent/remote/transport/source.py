"""What every way of getting a bundle's bytes has: a source, a visit to it, and how it may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from agent.errors import PlumblineError

Cancelled: TypeAlias = Callable[[], bool]


class Lost(PlumblineError):
    """The source is away for now; what it gave stays, and it may be asked again, after `wait_s` at least."""

    def __init__(self, message: str, *, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Unfit(PlumblineError):
    """This source will not do, however often it is asked; `code` is that of the rollout."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Missing(Unfit):
    """It has no such file."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 404)


class Beyond(Unfit):
    """Its file has not as many bytes as are here already."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 422)


class Stopped(PlumblineError):
    """Whoever wanted the bytes wants them no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The bytes of a file from `begins` on, which is where they were asked from, or 0.

    `size` is what the source says of the whole file. `pieces` raises Lost, Unfit and Stopped.
    """

    begins: int
    size: int | None
    pieces: Iterator[bytes]


class Visit(Protocol):
    """A source that is being asked."""

    def stretch(self, name: str, offset: int, limit: int) -> Stretch:
        """The file `name` of the bundle from `offset` on; it may have `limit` bytes in all.

        Raises Lost, Unfit and Stopped.
        """


class Source(Protocol):
    """One of the places that an instruction names."""

    @property
    def name(self) -> str:
        """For people, without what may be secret."""

    def visit(self, cancelled: Cancelled) -> AbstractContextManager[Visit]:
        """Ask it. Raises Lost, Unfit and Stopped; once `cancelled` says so, the last of them soon."""
