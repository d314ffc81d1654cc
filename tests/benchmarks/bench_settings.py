"""How long it takes until settings are in force, and to look at a settings file.

    python -m tests.benchmarks.bench_settings [--rounds 30]

Documents on a real disk, from their arrival to the moment at which the line is given the new settings: the
signature, every rule, proof by a line that finds nothing, and each durable write of the rollout. The way
through a broker and one turn of the service come on top (`tests/e2e/test_remote_settings.py` prints both).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from agent.demo.bench import machine
from agent.settings import settings
from tests.agent.remote.settled import document, signed, started

CONFIG = Path(__file__).parents[2] / "config"


def changes(rounds: int) -> list[float]:
    """Seconds from a document's arrival until its settings are the target."""
    took = []
    with tempfile.TemporaryDirectory() as folder:
        station = started(Path(folder))
        for counter in range(1, rounds + 1):
            envelope = signed(document({"revision": counter + 1}, counter))
            before = station.rollout.target
            begun = time.perf_counter()
            station.rollout.offer(envelope)
            while station.rollout.target == before:
                station.rollout.turn()
            took.append(time.perf_counter() - begun)
            station.turn()
            station.judge("stable")
    return took


def files(name: str, rounds: int) -> list[float]:
    took = []
    for _ in range(rounds):
        begun = time.perf_counter()
        settings.load(CONFIG / name, {})
        took.append(time.perf_counter() - begun)
    return took


def data(rounds: int) -> list[float]:
    """What comes as JSON is no YAML any more."""
    content, _ = settings.read(CONFIG / "agent.yaml")
    took = []
    for _ in range(rounds):
        begun = time.perf_counter()
        settings.made_of(content, name="bench", lines={}, base=CONFIG, environment={})
        took.append(time.perf_counter() - begun)
    return took


def row(what: str, took: Sequence[float]) -> str:
    milliseconds = sorted(one * 1000 for one in took)
    return f"| {what} | {statistics.median(milliseconds):.1f} | {milliseconds[-1]:.1f} |"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=30)
    rounds = arguments.parse_args().rounds
    print(machine())
    print("\n| | median ms | most ms |\n|---|---|---|")
    print(row("document to target, every write durable", changes(rounds)))
    print(row("the annotated file, every key, from YAML", files("agent.yaml", rounds)))
    print(row("a site's file, from YAML", files("sites/example.yaml", rounds)))
    print(row("every key, as a document brings it", data(rounds)))


if __name__ == "__main__":
    main()
