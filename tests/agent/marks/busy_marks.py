"""Marks results of a station again and again until it is killed; takes the folder and the turn."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from tests.agent.archive.records import result_id
from tests.agent.marks.said import station

FRAMES = 6
SAYS = ("right", "wrong", "taken_back")


def main() -> None:
    with station(Path(sys.argv[1])) as said:
        turn = int(sys.argv[2])
        if turn == 0:
            for number in range(1, FRAMES + 1):
                said.judge(number)
                said.say(number)
        said.marks.start()
        for number in count(turn):
            says = SAYS[number % 3]
            more = {} if says == "taken_back" else {"label": f"label {number % 7}"}
            last = said.marks.file.last_of(result_id(1 + number % FRAMES))
            if says == "taken_back" and (last is None or last.says == "taken_back"):
                continue
            print(f"marked {said.say(1 + number % FRAMES, says, **more).sequence} .", flush=True)


if __name__ == "__main__":
    main()
