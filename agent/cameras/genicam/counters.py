"""Counters of a camera that wrap, as numbers that do not."""

from __future__ import annotations

LAST_BLOCK_ID = 65_535  # block ids of 16 bits run from 1 to this one; 0 is skipped
_HALF, _WHOLE = 1 << 31, 1 << 32


def blocks_between(previous: int, block_id: int) -> int:
    """How many blocks after `previous` the one with this id is; 0 or less: it is no later one.

    Ids above 16 bits are those of extended ids, which do not wrap.
    """
    if max(previous, block_id) > LAST_BLOCK_ID:
        return block_id - previous
    later = (block_id - previous) % LAST_BLOCK_ID
    return later if later <= LAST_BLOCK_ID // 2 else later - LAST_BLOCK_ID


def unwrapped(previous: int, counter: int) -> int:
    """A counter of 32 or more bits, in the turn that is nearest to its last unwrapped value.

    Never negative: a counter that was set back is taken as it stands.
    """
    value = unwrapped_signed(previous, counter)
    return value if value >= 0 else counter


def unwrapped_signed(previous: int, counter: int) -> int:
    """As `unwrapped`, for an encoder, which runs below zero on a belt that runs backwards."""
    return previous + (counter - previous + _HALF) % _WHOLE - _HALF
