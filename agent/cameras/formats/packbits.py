"""How many bytes a PackBits code makes."""

from __future__ import annotations

from agent.cameras.formats.described import Damaged


def decoded_size(coded: bytes, enough: int) -> int:
    """Raises Damaged for more than `enough`, and for a run that goes on beyond the end."""
    at = made = 0
    while at < len(coded):
        head = coded[at]
        if head < 128:
            at, made = at + 2 + head, made + head + 1
        else:
            at, made = (at + 1, made) if head == 128 else (at + 2, made + 257 - head)
    if made > enough:
        raise Damaged(f"{made} of {enough} bytes")
    if at > len(coded):
        raise Damaged("a run goes on beyond its end")
    return made
