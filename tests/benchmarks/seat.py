"""A process that judges pictures on cue, so that engines which cannot share one take turns.

It has all pictures of a folder in memory and obeys lines on stdin: `turn N` judges N of them, `judge` all. To
each it answers with one line of JSON. Needs no more than numpy and OpenCV, so that it runs in environments
that have nothing of ours.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Picture = np.ndarray[Any, np.dtype[np.uint8]]  # (lines, width, 3) RGB


def serve(open_judge: Callable[[], Callable[[Picture], float]], folder: Path) -> None:
    """Until stdin ends. Memory is told without and with what `open_judge` and judging took."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print, too
    files = sorted(folder.glob("*/*.png"))
    pictures = [np.ascontiguousarray(cv2.imread(str(file), cv2.IMREAD_COLOR)[..., ::-1]) for file in files]
    before_mb = resident_mb()
    judge = open_judge()
    turns = itertools.cycle(pictures)
    for line in sys.stdin:
        word, *number = line.split()
        if word == "turn":
            for _ in range(int(number[0])):
                judge(next(turns))
            answer: dict[str, Any] = {}
        else:
            names = [str(file.relative_to(folder)) for file in files]
            answer = {"scores": dict(zip(names, map(judge, pictures), strict=True))}
        mb = resident_mb()
        print(json.dumps({**answer, "resident_mb": mb, "grown_mb": mb - before_mb}), file=answers, flush=True)


def resident_mb() -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found, "this kernel does not say VmRSS"
    return int(found.group(1)) / 1024
