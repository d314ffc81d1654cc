"""How soon after its last view a part is decided and durable, and what deciding takes alone.

`python -m tests.benchmarks.bench_parts [PARTS] [CAMERAS] [PER_SECOND]`: so many parts, each seen by so many
cameras, at that pace, through a real outbox on this disk: from the commit of the last view to that of the
part verdict.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from agent.contract.part import PartVerdict
from agent.parts.grouping import taken
from agent.parts.view import State
from tests.agent.parts.station import Station
from tests.agent.parts.views import rule, view
from tests.benchmarks.bench_web import processor

PARTS, CAMERAS, PER_SECOND = 500, 3, 20.0
DECIDED = 20_000


class Watch:
    """When views were committed and their part told, by part."""

    def __init__(self) -> None:
        self.last_view_s: dict[str, float] = {}
        self.told_s: dict[str, float] = {}

    def part_decided(self, part: PartVerdict) -> None:
        assert part.verdict == "pass" and part.part_id is not None
        self.told_s[part.part_id] = time.perf_counter()


def main() -> None:
    parts = int(sys.argv[1]) if len(sys.argv) > 1 else PARTS
    names = tuple(f"camera{number}" for number in range(int(sys.argv[2]) if len(sys.argv) > 2 else CAMERAS))
    pace_s = 1 / (float(sys.argv[3]) if len(sys.argv) > 3 else PER_SECOND)
    print(processor())
    watch, stop = Watch(), threading.Event()
    with tempfile.TemporaryDirectory(prefix="plumbline-parts-") as there:
        one = rule("part_id", cameras=names, timeout_s=30.0)
        station = Station(Path(there), [one], listeners=[watch]).open()
        thread = threading.Thread(target=station.parts.run, args=(stop,))
        thread.start()
        begun = time.perf_counter()
        for number in range(parts):
            time.sleep(max(0.0, begun + number * pace_s - time.perf_counter()))
            for name in names:
                appended = station.append(station.verdict(name, f"P{number}"))
            appended.result(60.0)
            watch.last_view_s[f"P{number}"] = time.perf_counter()
        while len(watch.told_s) < parts:
            time.sleep(0.01)
        stop.set()
        thread.join()
        station.close()
    taken_ms = sorted(1e3 * (watch.told_s[part] - since) for part, since in watch.last_view_s.items())
    p99 = taken_ms[int(0.99 * (parts - 1))]
    print(
        f"{parts} parts of {len(names)} views, {1 / pace_s:g} a second, from the last view's commit to the "
        f"part's: {statistics.median(taken_ms):.1f} ms in the middle, p99 {p99:.1f} ms,"
        f" longest {taken_ms[-1]:.1f} ms"
    )
    decide(names)


def decide(names: tuple[str, ...]) -> None:
    """The pure part alone."""
    for by in ("part_id", "message", "encoder", "trigger"):
        one = rule(by, cameras=names, window_ticks=4 if by == "encoder" else 0)  # type: ignore[arg-type]
        plain, state = view(names[0]), State()
        views = [
            replace(
                plain,
                camera=name,
                sequence=number * len(names) + place + 1,
                result_id=f"{number}-{place}",
                frame_id=number,
                encoder=number * 100,
                part_id=f"P{number}",
                bind_id=f"M{number}",
                captured_ns=number * 3_000_000_000,
            )
            for number in range(DECIDED // len(names))
            for place, name in enumerate(names)
        ]
        begun = time.perf_counter()
        for each in views:
            state, _ = taken(one, state, each, each.captured_ns or 0)
        print(f"by {by}: {1e6 * (time.perf_counter() - begun) / len(views):.0f} us a view to decide")


if __name__ == "__main__":
    main()
