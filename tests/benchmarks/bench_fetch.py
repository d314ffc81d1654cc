"""How long 30 MB take by each way into the depot, beside a plain copy of the same files.

    python -m tests.benchmarks.bench_fetch [--rounds 5] [--megabytes 30]

Everything is on this machine: a folder and a stored zip on the same disk, a web server over TLS and mosquitto
with its office, each in a process of its own. Each way ends with every file digested and synced; the copy is
synced, too. `times a copy` is the median over rounds of a ratio within each round. `verify and place`
comes after the bytes: the bundle opened, every digest taken again, renamed and synced.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import random
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path

import structlog

from agent.clock import SystemClock
from agent.contract import desired
from agent.contract.desired import Target
from agent.remote.rollout.depot import Depot
from agent.remote.transport.fetch import Fetcher, Order, Ways
from agent.settings.remote import Download
from agent.uplink.mqtt.link import MqttLink
from tests.agent.outbox.rows import TOPICS
from tests.agent.remote.transport import office, web
from tests.agent.remote.transport.goods import (
    broker_source,
    folder_source,
    sizes,
    web_source,
    write_goods,
)
from tests.agent.uplink.authority import Authority
from tests.agent.uplink.links import status
from tests.agent.uplink.stations import hears, mqtt
from tests.benchmarks.turns import take_turns
from tests.brokers import HOST, Mosquitto, eventually


def main(rounds: int, megabytes: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shelf").mkdir()
        source = folder / "shelf" / "one"
        target = write_goods(source, megabytes * 1_000_000)
        with zipfile.ZipFile(folder / "one.plumb", "w", zipfile.ZIP_STORED) as packed:
            for file in sizes(source):
                packed.write(source / file, file)
        authority = Authority(folder, "plant")
        broker = Mosquitto(folder / "broker")
        broker.start()
        with (
            linked(broker.port) as link,
            served(source, authority) as url,
            offered(source.parent, broker.port),
        ):
            ways = Ways(https=Download(ca_file=authority.ca_file), chunks=link)

            def fetched(*sources: desired.Source) -> None:
                fetch(folder / "depot", target, ways, *sources)

            depot = Depot(folder=folder / "depot")
            calls = {
                "a plain copy, synced": lambda: copied(source, folder / "copy"),
                "folder": lambda: fetched(folder_source(source)),
                "one .plumb file": lambda: fetched(folder_source(folder / "one.plumb")),
                "https": lambda: fetched(web_source(url)),
                "mqtt": lambda: fetched(broker_source()),
                "verify and place": lambda: placed(depot, target, source),
            }
            turns = take_turns(calls, rounds, calls_per_turn=1)
        broker.stop()
    for name in calls:
        times = 1 / turns.times_faster(name, "a plain copy, synced")
        print(f"{name:24} best {turns.best_s(name):6.2f} s   times a copy {times:6.1f}")


def fetch(folder: Path, target: Target, ways: Ways, *sources: desired.Source) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    fetcher = Fetcher(
        depot=Depot(folder=folder),
        ways=ways,
        trusted=lambda bundle: None,
        kept_free=0,
        clock=SystemClock(),
        rng=random.Random(1),
    )
    order = Order(target=target, sources=sources)
    fetcher(order, progress=lambda _: None, cancelled=lambda: False, time_left_s=600.0)


def copied(source: Path, copy: Path) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(source, copy)
    for name in sizes(copy):
        with (copy / name).open("rb") as file:
            os.fsync(file.fileno())


def placed(depot: Depot, target: Target, source: Path) -> None:
    if depot.path_of(target.sha256).exists():
        depot.path_of(target.sha256).rename(depot.candidate)
    depot.open_candidate(target.sha256)
    depot.place(target.sha256)


@contextmanager
def linked(port: int) -> Iterator[MqttLink]:
    link = MqttLink(
        mqtt(port),
        topics=TOPICS,
        last_will=status("offline"),
        clock=SystemClock(),
        rng=random.Random(1),
        turn_away=lambda *_: None,
        documents=TOPICS.documents([]),
    )
    link.start()
    eventually(lambda: hears(link), "the station is connected")
    try:
        yield link
    finally:
        link.stop(status("stopped"))


@contextmanager
def served(source: Path, authority: Authority) -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    ending, urls = context.Event(), context.SimpleQueue()
    certificate = authority.certify("web", address=HOST)
    process = context.Process(target=serve, args=(source, certificate, ending, urls))
    process.start()
    try:
        yield urls.get()
    finally:
        ending.set()
        process.join()


def serve(source: Path, certificate: tuple[Path, Path], ending: Event, urls: object) -> None:
    with web.serving(source, certificate) as found:
        urls.put(found.url)  # type: ignore[attr-defined]
        ending.wait()


@contextmanager
def offered(folder: Path, port: int) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    ready, ending = context.Event(), context.Event()
    process = context.Process(target=offer, args=(folder, port, ready, ending))
    process.start()
    try:
        ready.wait(60)
        yield
    finally:
        ending.set()
        process.join()


def offer(folder: Path, port: int, ready: Event, ending: Event) -> None:
    with office.serving(folder, mqtt(port), "5"):
        ready.set()
        ending.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=30)
    wanted = parser.parse_args()
    main(wanted.rounds, wanted.megabytes)
