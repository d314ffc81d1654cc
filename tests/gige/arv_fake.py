"""Aravis' own simulated camera in a process: `python -m tests.gige.arv_fake`, until the end of its input.

An implementation of GigE Vision that owes nothing to ours. It serves on 127.0.0.1 only; its block ids start
at 65400, so that they soon wrap. It answers no resend request.
"""

from __future__ import annotations

import ctypes
import sys

from agent.cameras.genicam.library import SONAME


def main() -> None:
    library = ctypes.CDLL(SONAME)
    make, is_running = library.arv_gv_fake_camera_new, library.arv_gv_fake_camera_is_running
    make.restype, make.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_char_p)
    is_running.restype, is_running.argtypes = ctypes.c_int, (ctypes.c_void_p,)
    camera = make(b"127.0.0.1", b"GV01")
    print("running" if is_running(camera) else "taken", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
