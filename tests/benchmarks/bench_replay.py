"""How near a decision that is made once more comes to that of then, on every engine of this machine.

`python -m tests.benchmarks.bench_replay [CELLS]`: solar cells, judged and kept by the steps of the line with
the sample bundle on OpenVINO, then made once more. Differences are shares of the threshold, or of a score
above it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from agent.cameras.images import read_image
from agent.demo.cells import load_cells
from agent.demo.demo import SAMPLE_BUNDLE
from agent.replay.again import order_of, replay
from agent.replay.apart import replay_apart
from tests.agent.replay.kept import CLOCK, Keeping
from tests.benchmarks.bench_web import processor

CELLS = 12
ENGINES = (None, "onnxruntime", "eager")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CELLS
    cells = [cell for cell in load_cells() if cell.split.startswith("test")]
    print(processor())
    with tempfile.TemporaryDirectory(prefix="plumbline-replay-") as folder:
        station = Keeping(folder=Path(folder), changes={"bundle": Path(SAMPLE_BUNDLE).absolute()})
        kept = []
        for cell in cells[:: max(1, len(cells) // count)][:count]:
            picture = np.asarray(read_image(cell.image), np.uint8).reshape(300, 300, 1)
            kept.append(station.judge(picture)[0].result_id)
        for engine in ENGINES:
            found = [replay(order_of(station.settings, result_id=one, engine=engine), CLOCK) for one in kept]
            scores = [one.rows[0].difference or 0.0 for one in found]
            same = sum(one.reproduced for one in found)
            name = found[0].engine_now
            print(f"{name}: {same} of {len(found)} reproduced, worst score differs by {max(scores):.1e}")
        begun = time.perf_counter()
        replay_apart(order_of(station.settings, result_id=kept[0]))
        print(f"one in a process of its own: {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    main()
