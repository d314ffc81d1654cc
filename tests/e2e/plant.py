"""Three stations at one broker, and an office that tells them what to be as an operator does."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agent.bundle.bundle import BUNDLE_TYPE, MANIFEST, SIGNATURE, Manifest, manifest_bytes, open_bundle
from agent.demo.demo import SAMPLE_BUNDLE
from models.signing import load_private_key, sign
from tests.agent.cli.calling import Ended, process
from tests.brokers import HOST, Mosquitto, Subscriber, eventually
from tests.e2e.agent_process import AgentProcess

STATIONS = ("cell1", "cell2", "cell3")
GROUP = "press"
OFFICE_S = 400.0
JUDGED = 24


@dataclass(slots=True)
class Plant:
    """`start` starts one station; each has its first bundle."""

    folder: Path
    broker: Mosquitto
    subscriber: Subscriber
    stations: dict[str, AgentProcess]

    def lab(self, *words: str | Path) -> Ended:
        return process("-m", "models", *words)

    def bundle(self, name: str, golden: bytes | None = None, **changes: Any) -> Path:
        """The sample with another manifest, signed; with other golden scores, if they are given."""
        path = self.folder / name
        shutil.copytree(SAMPLE_BUNDLE, path)
        manifest: Manifest = open_bundle(path).manifest.model_copy(update=changes)
        if golden is not None:
            (path / "golden" / "scores.npy").write_bytes(golden)
            manifest = with_digest(manifest, "golden/scores.npy", golden)
        content = manifest_bytes(manifest)
        (path / MANIFEST).write_bytes(content)
        key = load_private_key(self.folder / "key.pem")
        (path / SIGNATURE).write_bytes(sign(content, BUNDLE_TYPE, key))
        return path

    def roll_out(self, bundle: Path, *more: str) -> tuple[int, dict[str, Any]]:
        """By `plumbline-lab fleet bundle`, handed out through the broker: exit code, and what it says."""
        office = self.office(bundle, *(more or ("--to", "all")))
        try:
            out, _ = office.communicate(timeout=OFFICE_S)
        finally:
            office.kill()
            office.wait()
        return office.returncode, json.loads(out)

    def office(self, bundle: Path, *more: str) -> subprocess.Popen[str]:
        """The same while it goes on."""
        own = ("--key", self.folder / "key.pem", "-i", self.folder / "fleet.yaml", "--serve", "--json")
        words = ("-m", "models", "fleet", "bundle", bundle, *more, *own)
        return subprocess.Popen(
            [sys.executable, *map(str, words)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )

    def reported(self, station: str) -> dict[str, Any]:
        """The latest report; empty before the first."""
        topic = f"plumbline/v1/test/cells/line1/{station}/config/reported"
        found = [one.payload for one in self.subscriber.received if one.topic == topic]
        return dict(json.loads(found[-1])) if found else {}

    def verdicts(self, station: str) -> list[dict[str, Any]]:
        topic = f"plumbline/v1/test/cells/line1/{station}/verdict/top"
        return [json.loads(one.payload) for one in self.subscriber.received if one.topic == topic]

    def judged_by(self, station: str) -> list[str]:
        """The bundles of its verdicts in the order of their numbers, each change once."""
        found: list[str] = []
        numbered = {one["sequence"]: one["model"]["sha256"] for one in self.verdicts(station)}
        for _, sha256 in sorted(numbered.items()):
            if found[-1:] != [sha256]:
                found.append(sha256)
        return found

    def has_no_gap(self, station: str) -> bool:
        numbers = {one["sequence"] for one in self.verdicts(station)}
        return numbers == set(range(1, len(numbers) + 1))

    def start(self, *names: str) -> None:
        """Until they have judged enough to be compared with."""
        for name in names:
            self.stations[name].start()
        for name in names:
            eventually(lambda name=name: len(self.verdicts(name)) >= JUDGED, f"{name} judges")  # type: ignore[misc]
            eventually(lambda name=name: self.reported(name), f"{name} reports")  # type: ignore[misc]

    def stop(self) -> None:
        for one in self.stations.values():
            if one.is_running():
                code = one.stop()
                assert code == 0, f"exit code {code}: {one.log()[-2000:]}"


def with_digest(manifest: Manifest, name: str, content: bytes) -> Manifest:
    files = {**manifest.files, name: hashlib.sha256(content).hexdigest()}
    return manifest.model_copy(update={"files": files})


def made(folder: Path, broker: Mosquitto, subscriber: Subscriber) -> Plant:
    """Keys, inventory and three stations that have installed the sample and do not run yet."""
    plant = Plant(folder=folder, broker=broker, subscriber=subscriber, stations={})
    assert plant.lab("keys", "new", folder / "key.pem", "--trust", folder / "trust.json").code == 0
    first = plant.bundle("first")
    inventory = {
        "issuer": "office",
        "trust": "trust.json",
        "mqtt": {"host": HOST, "port": broker.port},
        "stations": [{"address": f"test/cells/line1/{one}", "groups": [GROUP]} for one in STATIONS],
        "rollout": {"waves": ["1", "rest"], "answer_within_s": 120.0},
    }
    (folder / "fleet.yaml").write_text(yaml.safe_dump(inventory))
    for name in STATIONS:
        own = folder / name
        own.mkdir()
        station = AgentProcess(own, broker_port=broker.port, cells=12)
        station.settings |= {
            "identity": {"site": "test", "area": "cells", "line": "line1", "station": name},
            "trust": {"file": str(folder / "trust.json")},
            "bundle": "bundles/current",
            "archive": {"folder": "archive", "pass_share": 1.0, "min_free_bytes": 0},
            "outbox": {"path": str(own / "outbox.sqlite3"), "min_free_bytes": 0},
            "remote": {
                "groups": [GROUP],
                "proof": {"frames": 8, "timeout_s": 300.0},
                "probation": {"verdicts": 8, "seconds": 2.0},
            },
        }
        done = process("-m", "agent", "bundle", "install", first, "-c", station.write_settings())
        assert done.code == 0, done.err
        plant.stations[name] = station
    return plant
