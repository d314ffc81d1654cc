"""A plant: a broker, three stations as processes, and the office that tells them what to be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from agent.trust.envelope import parse
from tests.agent.cli.calling import Ended, forked
from tests.agent.remote.rollouts import installed
from tests.brokers import HOST, Mosquitto, Subscriber, eventually
from tests.e2e.agent_process import PROOF_S, AgentProcess
from tests.e2e.bright import write_varied

NAMES = ("cell1", "cell2", "cell3")
WAVES = ["1", "rest"]
# What may differ on a loaded machine is wide; who judges otherwise is caught before, by its proof.
PROBATION = {
    "verdicts": 3,
    "seconds": 1.0,
    "max_error_rise": 1.0,
    "max_reject_shift": 1.0,
    "max_latency_ratio": 1000.0,
    "max_score_shift": 200.0,
}


def topic(name: str, *more: str) -> str:
    return "/".join(("plumbline/v1/test/cells/line1", name, *more))


@dataclass(frozen=True, slots=True)
class Seen:
    """What one station has said so far."""

    name: str
    subscriber: Subscriber

    def verdicts(self) -> list[dict[str, Any]]:
        """As they came, each once: a process that was killed may say its last ones again."""
        start = topic(self.name, "verdict")
        found = [one.json() for one in list(self.subscriber.received) if one.topic.startswith(start)]
        return list({one["sequence"]: one for one in found}.values())

    def bundles(self) -> list[str]:
        """The digests in the verdicts, one for each stretch."""
        return [sha for sha, _ in groupby(one["model"]["sha256"] for one in self.verdicts())]

    def heard(self, *more: str) -> bytes:
        """The last message on a topic of the station's; nothing where there was none."""
        wanted = topic(self.name, *more)
        found = (one.payload for one in reversed(list(self.subscriber.received)) if one.topic == wanted)
        return next(found, b"")

    def told(self) -> list[str]:
        """The digests of the bundles that documents on its own topic named so far."""
        wanted = topic(self.name, "bundle", "desired")
        found = [one.payload for one in list(self.subscriber.received) if one.topic == wanted and one.payload]
        return [str(json.loads(parse(one).payload)["target"]["sha256"]) for one in found]

    def report(self) -> dict[str, Any]:
        return dict(json.loads(self.heard("config", "reported") or b"{}"))

    def attempted(self, kind: str) -> dict[str, Any]:
        return dict(self.report().get(kind, {}).get("attempted") or {})

    def answers(self, kind: str) -> list[dict[str, Any]]:
        """What was said of documents so far, in order."""
        wanted = topic(self.name, "config", "reported")
        found = [one.json() for one in list(self.subscriber.received) if one.topic == wanted]
        return [said for one in found if (said := one[kind]["attempted"]) is not None]

    def answer(self, kind: str, counter: int) -> dict[str, Any]:
        """The last to the document of this counter: an office that stops tells another one at once."""
        return [one for one in self.answers(kind) if one["counter"] == counter][-1]

    def serving(self) -> str:
        return str(self.report()["bundle"]["active"]["sha256"])


class Plant:
    """`start` begins the stations; all of it lies below one folder."""

    def __init__(self, folder: Path, broker: Mosquitto, subscriber: Subscriber) -> None:
        self.folder = folder
        self.broker = broker
        self.trust = folder / "trust.json"
        self.key = folder / "office.pem"
        done = lab("keys", "new", self.key, "--trust", self.trust)
        assert done.code == 0, done.err
        self.first = self.bundle("first", counter=3)
        self.seen = {name: Seen(name, subscriber) for name in NAMES}
        self.stations = {name: self._station(name) for name in NAMES}
        stations = [{"address": f"test/cells/line1/{name}", "groups": ["cells"]} for name in NAMES]
        self.inventory = folder / "fleet.yaml"
        self.inventory.write_text(
            yaml.safe_dump(
                {
                    "issuer": "office",
                    "trust": "trust.json",
                    "mqtt": {"host": HOST, "port": broker.port},
                    "rollout": {
                        "waves": WAVES,
                        "answer_within_s": 100.0,
                        "end_within_s": 200.0,
                        "busy_s": 0.5,
                    },
                    "stations": stations,
                }
            )
        )

    def start(self) -> None:
        for one in self.stations.values():
            one.start()
        for one in self.seen.values():
            eventually(lambda one=one: len(one.verdicts()) >= 3 and one.report(), f"{one.name} works")  # type: ignore[misc]

    def stop(self) -> None:
        """In order, whatever they have been through."""
        try:
            codes = {name: one.stop() for name, one in self.stations.items() if one.is_running()}
        finally:
            for one in self.stations.values():
                one.kill()
        assert set(codes.values()) <= {0}, codes

    def folder_of(self, name: str) -> Path:
        return self.folder / name

    def bundle(
        self, name: str, *, counter: int, threshold: float = 1.0, golden: float = 1.0, words: str = ""
    ) -> Path:
        """A bundle of brightness, signed by the office; the rest as `write_varied` has it."""
        unsigned, path = self.folder / f"{name}-unsigned", self.folder / "office" / name
        write_varied(unsigned, counter=counter, threshold=threshold, golden=golden, words=words)
        path.parent.mkdir(exist_ok=True)
        done = lab("keys", "sign", unsigned, "--key", self.key, "--out", path)
        assert done.code == 0, done.err
        return path

    def roll_out(self, path: Path, *more: str | Path, to: Sequence[str] = ("all",)) -> Ended:
        """`fleet bundle` with the bundle's own folder as its source."""
        return lab("fleet", *self.bundle_words(path, "--source", path, *more, to=to))

    def bundle_words(
        self, path: Path, *more: str | Path, to: Sequence[str] = ("all",)
    ) -> tuple[str | Path, ...]:
        return ("bundle", path, *self._office(), *_to(to), *more)

    def settle(self, patch: dict[str, Any], to: Sequence[str] = ("all",)) -> Ended:
        """`fleet settings`."""
        return lab("fleet", *self.settings_words(patch, to=to), "--json")

    def settings_words(self, patch: dict[str, Any], to: Sequence[str] = ("all",)) -> tuple[str | Path, ...]:
        file = self.folder / "patch.yaml"
        file.write_text(yaml.safe_dump(patch))
        return ("settings", file, *self._office(), *_to(to))

    def say(self, wanted: str, payload: bytes) -> None:
        """Say it in the broker's retained topic, whoever may have signed it."""
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.connect(HOST, self.broker.port)
        client.loop_start()
        client.publish(wanted, payload, qos=1, retain=True).wait_for_publish(10)
        client.disconnect()
        client.loop_stop()

    def disk(self, name: str) -> dict[str, bytes]:
        """Every byte that decides what a station runs; what it was asked and answered is not of that."""
        folder = self.folder_of(name)
        return {
            str(one.relative_to(folder)): str(one.readlink()).encode()
            if one.is_symlink()
            else one.read_bytes()
            for room in ("settings", "bundles")
            for one in sorted((folder / room).rglob("*"))
            if (one.is_symlink() or one.is_file())
            and one.name not in ("attempted.json", "rollout.json", ".lock", ".serving")
        }

    def _office(self) -> tuple[str | Path, ...]:
        return ("-i", self.inventory, "--key", self.key)

    def _station(self, name: str) -> AgentProcess:
        folder = self.folder / name
        folder.mkdir()
        installed(folder / "bundles", self.first)
        one = AgentProcess(folder, broker_port=self.broker.port, station=name, cells=8, line_rate_hz=600.0)
        one.settings["cameras"][0]["source"].update(lose_every_blocks=0, lose_lines=0)  # type: ignore[index]
        one.settings |= {
            "bundle": str(folder / "bundles" / "current"),
            "trust": {"file": str(self.trust)},
            "engine": {"kind": "onnxruntime", "threads": 1},
            "archive": {"folder": str(folder / "archive"), "pass_share": 1.0, "min_free_bytes": 0},
            "remote": {
                "groups": ["cells"],
                "probation": PROBATION,
                "proof": {"frames": 8, "timeout_s": PROOF_S},
            },
        }
        return one


class Running:
    """A command of the office in a process of its own that goes on beside the test."""

    def __init__(self, *words: str | Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "models", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self) -> tuple[int, str]:
        out, _ = self._process.communicate(timeout=PROOF_S)
        return self._process.returncode, out

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def lab(*words: str | Path) -> Ended:
    return forked("-m", "models", *words)


def is_gap_free(seen: Seen) -> bool:
    found = [one["sequence"] for one in seen.verdicts()]
    return found == list(range(1, len(found) + 1))


def _to(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for name in names for word in ("--to", name))
