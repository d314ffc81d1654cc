"""How many bytes an LZW code as TIFF has it makes, without making them."""

from __future__ import annotations

from agent.cameras.formats.described import Damaged

_CLEAR, _END, _FIRST = 256, 257, 258


def decoded_size(coded: bytes, enough: int) -> int:
    """Up to `enough`; raises Damaged for more, and for a code that stands for nothing."""
    lengths = [1] * _FIRST  # of what each code stands for
    width, made, before = 9, 0, 0  # length of the last string; 0 after a clear
    bits = held = at = 0
    while True:
        while held < width:
            if at == len(coded):
                if made == enough:  # some writers leave the end out
                    return made
                raise Damaged(f"no end after {made} of {enough} bytes")
            bits = (bits << 8) | coded[at]
            at, held = at + 1, held + 8
        held -= width
        code, bits = bits >> held, bits & ((1 << held) - 1)
        if code == _END:
            return made
        if code == _CLEAR:
            del lengths[_FIRST:]
            width, before = 9, 0
            continue
        if before:
            lengths.append(before + 1)
        if code >= len(lengths):
            raise Damaged("a code that stands for nothing")
        before = lengths[code]
        made += before
        if made > enough:
            raise Damaged(f"more than {enough} bytes")
        # One entry early, as Aldus wrote it.
        width = 9 if len(lengths) < 511 else 10 if len(lengths) < 1023 else 11 if len(lengths) < 2047 else 12
