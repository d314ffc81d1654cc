"""A bundle on the engine that the line would choose.

python -m tests.benchmarks.seat_plumbline BUNDLE FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from agent.bundle.bundle import open_bundle
from agent.engines.open import open_engine
from agent.line.prepare import cut_tiles, with_channels
from agent.settings import settings
from tests.benchmarks.seat import Picture, serve


def open_judge() -> Callable[[Picture], float]:
    bundle = open_bundle(Path(sys.argv[1]))
    spec, engine = bundle.manifest.input, open_engine(bundle, settings.Engine())

    def judge(picture: Picture) -> float:
        tiles, _ = cut_tiles(with_channels(picture, spec.channels), spec)
        return float(np.max(engine.run(tiles).scores))

    return judge


if __name__ == "__main__":
    serve(open_judge, Path(sys.argv[2]))
