"""One row of the table of checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agent.doctor.finding import Said
from agent.doctor.site import Site

WITHIN_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`look` changes nothing, says at least one thing, and may raise; after `within_s` it is given up."""

    family: str
    name: str
    look: Callable[[Site], Iterable[Said]]
    within_s: float = WITHIN_S
    as_root: bool = False  # where root looks: before it goes on as the agent's user
