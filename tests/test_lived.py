"""A promise in seconds is held against what the process lived, not against the clock of a busy machine."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from tests.brokers import eventually
from tests.lived import living
from tests.rooms import HERE

HELD_UP_S = 1.0
CHILD = """
import time
from tests.lived import living
began_s = time.monotonic()
with living() as lived:
    print("lives", flush=True)
    input()
print(time.monotonic() - began_s - lived.seconds)
"""


def test_it_goes_on_and_never_runs_ahead_of_the_clock() -> None:
    began_s = time.monotonic()
    with living() as lived:
        eventually(lambda: lived.seconds > 0.1, "it goes on")
    assert lived.seconds <= time.monotonic() - began_s


def test_what_a_process_was_held_up_does_not_count() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
        cwd=HERE.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == "lives\n"
        child.send_signal(signal.SIGSTOP)
        time.sleep(HELD_UP_S)
        child.send_signal(signal.SIGCONT)
        missing_s, _ = child.communicate("\n")
    assert float(missing_s) > 0.9 * HELD_UP_S
