"""What befalls the broker: it dies, it is away, it refuses messages, it has two stations of one name."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.brokers import eventually, kill_once_read
from tests.faults.ledger import Balance
from tests.faults.plant import Plant
from tests.faults.rows import CROP_EVERY, TOPICS, Recipe

PACKET_LIMIT_BYTES = 20_000
SAVES_EVERYTHING = ("autosave_on_changes true", "autosave_interval 1")


def killed(folder: Path, *, seed: int = 1, kills: int = 4) -> Balance:
    """SIGKILL under load and a new start, several times.

    An acknowledgement is not durability. The broker has no window towards the subscriber here, and dies
    only while that is connected and has read all it was sent: it holds nothing which could die with it.
    """
    rng = random.Random(seed)
    with Plant(folder, *SAVES_EVERYTHING, "max_inflight_messages 0") as plant:
        station = plant.start(rate_hz=100)
        for number in range(1, kills + 1):
            station.wait_for_connection(number)
            plant.subscriber.wait_for_connection(number)
            time.sleep(rng.uniform(0.2, 1.0))
            kill_once_read(plant.broker, plant.subscriber)
            time.sleep(rng.uniform(0.0, 0.5))
            plant.broker.start()
        return plant.finish(f"broker killed {kills} times")


def absent(folder: Path) -> Balance:
    """It is not there when the station starts, and comes when the station has long been at work."""
    with Plant(folder) as plant:
        plant.broker.stop()
        station = plant.start()
        station.wait_for(900)
        plant.broker.start()
        return plant.finish("broker absent, then back")


def ten_thousand_rows_wait(folder: Path) -> Balance:
    """They were appended at full speed while nobody listened."""
    with Plant(folder) as plant:
        plant.proxy.refuse()
        station = plant.start(rate_hz=0, appends=8000)  # with their crops and events 10,400 rows
        station.wait_for(8000)
        plant.kill()
        plant.proxy.heal()
        plant.start(appends=0)
        return plant.finish("10,000 rows waiting at reconnect")


def an_oversized_row_is_at_the_head(folder: Path) -> Balance:
    """The broker would hang up at the first verdict; those behind it arrive, and it too once it may."""
    recipe = Recipe(first_verdict_bytes=PACKET_LIMIT_BYTES + 10_000)
    limits = folder / "limits"
    limits.mkdir()
    (limits / "packet.conf").write_text(f"max_packet_size {PACKET_LIMIT_BYTES}\n", encoding="utf-8")
    with Plant(folder, f"include_dir {limits}", recipe=recipe) as plant:
        station = plant.start(appends=200)
        rows = recipe.appends(200)
        eventually(lambda: plant.has_arrived(rows[1:]), "all behind the oversized row arrive")
        assert not plant.has_arrived(rows[:1]) and station.connections() == 1
        plant.kill()
        plant.broker.stop()
        (limits / "packet.conf").unlink()
        plant.broker.start()
        plant.start(appends=100)
        return plant.finish("oversized row at the head", passed={rows[0].id})


def one_topic_is_refused(folder: Path) -> Balance:
    """The broker's ACL forbids crops, 100 of them; everything else arrives, and they once they may."""
    acl = folder / "acl"
    acl.write_text(f"topic readwrite #\ntopic deny {TOPICS.crop('top')}\n", encoding="utf-8")
    with Plant(folder, f"acl_file {acl}") as plant:
        plant.start(appends=100 * CROP_EVERY)
        others = [row for row in plant.recipe.appends(100 * CROP_EVERY) if row.kind != "crop"]
        eventually(lambda: plant.has_arrived(others), "verdicts and events arrive")
        plant.kill()
        acl.write_text("topic readwrite #\n", encoding="utf-8")
        plant.broker.reload()  # a restart would leave it with a subscriber's window half used up
        plant.start(appends=100)
        return plant.finish("one topic refused")


def two_stations_of_one_name(folder: Path) -> Balance:
    """Two agents with one client id take the broker from each other; both deliver everything in the end."""
    with Plant(folder) as plant:
        left, right = (plant.start(camera, appends=600) for camera in ("left", "right"))
        left.wait_for_connection(2)
        right.wait_for_connection(2)
        return plant.finish("two agents with one client id")
