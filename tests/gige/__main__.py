"""The simulated camera as a process: `python -m tests.gige --address 127.0.0.2 --noise 4096x2048`.

Each line on standard input is a JSON object of cues (tests/gige/belt.py) to set; each is answered by one
line with the counts. The end of the input ends the camera.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.gige.belt import Belt, Cues
from tests.gige.camera import Camera
from tests.gige.webs import noise, stacked


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.gige", description=__doc__)
    parser.add_argument("--address", default="127.0.0.2")
    parser.add_argument("--images", type=Path, help="file that lists pictures of one width, one in a line")
    parser.add_argument("--noise", default="512x1024", help="WIDTHxLINES where there are no images")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--height", type=int, default=128, help="lines in a block")
    parser.add_argument("--line-rate-hz", type=float, default=5000.0)
    parser.add_argument("--serial", default="0001")
    parser.add_argument("--discovery", action="store_true", help="answer broadcasts, too")
    parser.add_argument("--blocks", type=int, help="so many, then the belt stands")
    given = parser.parse_args()
    if given.images is None:
        width, lines = map(int, given.noise.split("x"))
        web = noise(width, lines, given.seed)
    else:
        web = stacked([Path(line) for line in given.images.read_text().splitlines()])
    belt = Belt(cues=Cues(blocks=given.blocks))
    camera = Camera(
        address=given.address,
        web=web,
        line_rate_hz=given.line_rate_hz,
        height=given.height,
        serial=given.serial,
        discovery=given.discovery,
        belt=belt,
    )
    camera.start()
    print(json.dumps(asdict(belt.counts)), flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(belt.cue(json.loads(line)))), flush=True)
    camera.stop()


if __name__ == "__main__":
    main()
