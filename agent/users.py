"""Who is who on this machine."""

from __future__ import annotations

import pwd


def user_name(uid: int) -> str:
    """As people know it; by number where the machine has no name for it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
