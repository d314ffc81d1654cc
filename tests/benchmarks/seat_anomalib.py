"""anomalib's own runner on its OpenVINO export.

python -m tests.benchmarks.seat_anomalib MODEL_XML FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from anomalib.deploy import OpenVINOInferencer

from tests.benchmarks.seat import Picture, serve


def open_judge() -> Callable[[Picture], float]:
    inferencer = OpenVINOInferencer(path=sys.argv[1], device="CPU")
    return lambda picture: float(inferencer.predict(picture).pred_score.item())


if __name__ == "__main__":
    serve(open_judge, Path(sys.argv[2]))
