"""Freeze one thread of a process: `python -m tests.system.freeze THREAD` says `frozen`, then holds it.

It holds it as a debugger would, until the thread has ended; once this program ends, the thread goes on.
"""

from __future__ import annotations

import ctypes
import os
import sys

SEIZE, INTERRUPT = 0x4206, 0x4207
ALL_KINDS = 0x40000000  # __WALL: threads too


def main(thread: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    library.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    for request in (SEIZE, INTERRUPT):
        if library.ptrace(request, thread, None, None):
            raise OSError(ctypes.get_errno(), f"thread {thread} cannot be frozen")
    while True:
        _, status = os.waitpid(thread, ALL_KINDS)
        if not os.WIFSTOPPED(status):
            return
        print("frozen", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
