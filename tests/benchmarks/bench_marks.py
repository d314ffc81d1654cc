"""Ten thousand marks: how long one takes, the newest are found in, a list, the page's look-up and an export.

`python -m tests.benchmarks.bench_marks [MARKS] [PICTURES]`: MARKS in the file, of which the newest PICTURES
have frames of 300 x 300 px in an archive; those are exported. Medians, and of taking one the slowest of 100.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agent.archive import files
from agent.clock import SystemClock
from agent.marks.dataset import Source, export
from agent.marks.file import MarkFile, Wanted
from agent.marks.read import newest, place
from tests.agent.archive.records import record, result_id
from tests.agent.marks.said import mark
from tests.benchmarks.bench_web import processor

MARKS, PICTURES, LABELS = 10_000, 1_000, 12


def seconds(do: Callable[[], object]) -> float:
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else MARKS
    pictures = int(sys.argv[2]) if len(sys.argv) > 2 else PICTURES
    print(processor())
    with tempfile.TemporaryDirectory(prefix="plumbline-marks-") as there:
        folder = Path(there)
        path = place(folder / "outbox.sqlite3")
        file = MarkFile(path)
        said = [
            mark(number, "wrong" if number % 3 else "right", label=f"label {number % LABELS}")
            for number in range(1, count + 1)
        ]
        taken = [seconds(lambda one=one: file.add(one)) for one in said]  # type: ignore[misc]
        slow = statistics.quantiles(taken, n=100)[98]
        print(f"{count} marks, {path.stat().st_size / 1e6:.1f} MB")
        print(f"take one: {statistics.median(taken) * 1e3:.2f} ms, slowest of 100 {slow * 1e3:.1f} ms")
        of_page = [result_id(count - number) for number in range(48)]
        for name, do in (
            ("the newest of a result", lambda: file.last_of(result_id(count // 2))),
            ("those of 48 results, for the page", lambda: file.find(Wanted(results=of_page))),
            ("the last nine labels", lambda: file.labels(9)),
            ("a list of the newest 100", lambda: newest(path, Wanted(limit=100))),
            ("a list of all", lambda: newest(path)),
        ):
            print(f"{name}: {statistics.median(seconds(do) for _ in range(9)) * 1e3:.1f} ms")
        archive = folder / "archive"
        for number in range(count - pictures + 1, count + 1):
            head, pieces = record(number, size=(300, 300, 1))
            target = files.place(archive, head.id, head.created)
            target.parent.mkdir(parents=True, exist_ok=True)
            files.put(target, pieces)
        going = export(
            newest(path).marks, Source(archive=archive, station="s"), folder / "set", SystemClock()
        )
        spent = seconds(lambda: [*going])
        print(f"export of {count} marks, {pictures} with pictures: {spent:.1f} s")


if __name__ == "__main__":
    main()
