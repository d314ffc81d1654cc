"""Who somebody at the page is, and what each role may: a later one may all that those before it may."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["viewer", "operator", "engineer"]
ROLES: tuple[Role, ...] = typing.get_args(Role)
Way: TypeAlias = Literal["this_machine", "account", "proxy", "kiosk", "anonymous"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """`name` stands in the record of what the person changes; `way` is how we know."""

    name: str
    role: Role
    way: Way


def may(role: Role, least: Role) -> bool:
    return ROLES.index(role) >= ROLES.index(least)
