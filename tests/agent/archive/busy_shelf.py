"""Puts, marks and lets go of entries until it is killed; takes the folder and the first number."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from agent.archive.index import Query
from agent.archive.record import Mark
from agent.archive.shelf import Shelf
from agent.clock import ManualClock
from tests.agent.archive.records import MORNING, limits, record

MAX_BYTES = 4_000_000  # some tens of entries beside an index and its log
MARK = Mark(word="confirmed", by="Ada", at=MORNING)


def main() -> None:
    shelf = Shelf(Path(sys.argv[1]), limits(max_bytes=MAX_BYTES), clock=ManualClock(MORNING))
    shelf.open()
    print("open", flush=True)
    for number in count(int(sys.argv[2])):
        shelf.put(*record(number, size=(200, 300, 1), name=("pass", "fail", "undecided")[number % 3]))
        if number % 5 == 0:
            shelf.mark(shelf.find(Query(limit=1))[0].head.id, MARK)
            for kept in shelf.find(Query(mark="any"))[3:]:
                shelf.mark(kept.head.id, None)
        shelf.tidy()


if __name__ == "__main__":
    main()
