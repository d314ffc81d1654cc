"""A process that appends verdicts with crops, announces what is committed, delivers, signs, until killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agent.chain.notary import Notary
from agent.clock import SystemClock, new_uuid7
from agent.contract.events import EventMaker
from agent.outbox.database import Database
from agent.outbox.keeper import Keeper
from agent.outbox.outbox import Outbox
from agent.outbox.spool import Limits
from tests.agent.chain.made import KEY
from tests.agent.outbox.rows import TOPICS, crop, verdict


def main() -> None:
    clock = SystemClock()
    database = Database(Path(sys.argv[1]), clock=clock)
    outbox = Outbox(database)
    outbox.open()
    keeper = Keeper(
        database,
        limits=Limits(history_s=0.2, crop_age_s=0.5),
        hold_when_full=False,
        events=EventMaker(TOPICS, boot_id=new_uuid7(clock), clock=clock, new_id=lambda: new_uuid7(clock)),
        clock=clock,
    )
    keeper.open()
    notary = Notary(
        keeper,
        KEY,
        path=database.path,
        topics=TOPICS,
        boot_id="boot",
        clock=clock,
        new_id=lambda: new_uuid7(clock),
        salvaged=database.salvaged,
    )
    notary.begin()
    sequence = outbox.last_sequence()
    while True:
        sequence += 1
        line = b"%d\n" % sequence
        outbox.append([verdict(sequence), crop(sequence)], lambda line=line: _announce(line))  # type: ignore[misc]
        if sequence % 50 == 0:
            outbox.delivered([waiting.seq for waiting in outbox.lease(10)])
            notary.stop()
            keeper.tidy()


def _announce(line: bytes) -> None:
    os.write(sys.stdout.fileno(), line)


main()
