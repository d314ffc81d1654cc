"""What can be wrong with a run, in the words of the person who has to mend it."""

from __future__ import annotations

from pathlib import Path

from agent.errors import PlumblineError, out_of_room
from agent.foreign import shown


class RescoreError(PlumblineError):
    """Archives cannot be judged again; names the place, the value and the remedy. Finished parts stay."""


def unwritable(path: Path, error: OSError) -> RescoreError:
    """Of --out."""
    why = (
        out_of_room(error)
        or f"{error.strerror}; check permissions and space, then run the same command again"
    )
    return RescoreError(f"{shown(str(path))}: cannot be written: {why}")
