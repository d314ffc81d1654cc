"""A process that appends verdicts with crops, announces what is committed, delivers some, until killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agent.clock import SystemClock
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from tests.agent.outbox.rows import crop, verdict


def main() -> None:
    outbox = Outbox(Database(Path(sys.argv[1]), clock=SystemClock()))
    outbox.open()
    sequence = outbox.last_sequence()
    while True:
        sequence += 1
        line = b"%d\n" % sequence
        outbox.append([verdict(sequence), crop(sequence)], lambda line=line: _announce(line))  # type: ignore[misc]
        if sequence % 50 == 0:
            outbox.delivered([waiting.seq for waiting in outbox.lease(10)])


def _announce(line: bytes) -> None:
    os.write(sys.stdout.fileno(), line)


main()
