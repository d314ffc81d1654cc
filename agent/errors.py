"""The one base of every problem that people are meant to read."""

from __future__ import annotations

import errno

_OUT_OF_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class PlumblineError(Exception):
    """Names the place, the value and the remedy; commands print it without a trace."""


def out_of_room(error: OSError) -> str | None:
    """What to say where this machine, and nothing that it talks to, is at its end; None elsewhere."""
    if error.errno not in _OUT_OF_ROOM:
        return None
    end = f"this machine is at its end ({error.strerror})"
    return f"{end}; raise LimitNOFILE, and see what holds files or memory"
