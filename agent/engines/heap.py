"""Memory that the process has freed and its C library keeps, for the system again."""

from __future__ import annotations

import ctypes


def trim_heap() -> None:
    """Give back what opening an engine took for a while: copies of the weights, tens of megabytes.

    glibc keeps it otherwise for as long as the process lives; other C libraries have no such function.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
