"""What a station tells, for tests of those who listen: verdicts, crops, and the publisher that sends them."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.contract.payloads import encode
from agent.schemas import examples
from tests.brokers import DEADLINE_S, HOST, eventually

SOURCE = examples.TOPICS.prefix
TOPIC = examples.TOPICS.verdict("top")
CONSUMER = Path(__file__).resolve().parents[3] / "deploy" / "mes" / "consumer.py"


def verdict(sequence: int, *, boot: str = "boot-1", replayed: bool = False) -> bytes:
    """The verdict with this number; its result_id is always the same."""
    changed = {
        "sequence": sequence,
        "result_id": f"01930000-0000-7000-8000-{sequence:012d}",
        "boot_id": boot,
        "replayed": replayed,
    }
    return encode(examples.verdict().model_copy(update=changed))


class Publisher:
    """Sends with QoS 1 and waits for the broker's word."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = lambda _c, _d, said: self.heard.append((said.topic, bytes(said.payload)))
        self._client.connect(HOST, port)
        self._client.loop_start()

    def send(
        self, topic: str, *payloads: bytes, properties: Iterable[tuple[str, str]] = (), retain: bool = False
    ) -> None:
        v5 = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if properties:
            v5.UserProperty = list(properties)
        for payload in payloads:
            self._client.publish(topic, payload, qos=1, retain=retain, properties=v5).wait_for_publish(
                DEADLINE_S
            )

    def crop(self, image: bytes, promised: str | None = None) -> None:
        digest = promised or hashlib.sha256(image).hexdigest()
        self.send(examples.TOPICS.crop("top"), image, properties=[("sha256", digest)])

    def listen(self, topic: str) -> None:
        granted = threading.Event()
        self._client.on_subscribe = lambda *_: granted.set()
        self._client.subscribe(topic, qos=1)
        assert granted.wait(DEADLINE_S)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Process:
    """The consumer, run as an integrator runs it."""

    def __init__(self, database: str, port: int, *options: str | Path) -> None:
        self._words = ["--database", database, "--port", str(port), *map(str, options)]
        self._process: subprocess.Popen[str] | None = None
        self.said = ""

    def start(self) -> None:
        """Returns when its subscription stands."""
        self._process = self.begin("run")
        assert self._process.stderr is not None
        lines: list[str] = []
        for line in self._process.stderr:
            lines.append(line)
            if line.startswith("listening"):
                break
        else:
            raise AssertionError(f"the consumer ended: {lines}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self.ended()

    def gaps(self, *options: str) -> tuple[int, str]:
        """Exit code and output of `consumer.py gaps`."""
        done = self.begin("gaps", *options)
        out, err = done.communicate(timeout=DEADLINE_S)
        return done.returncode, out + err

    def begin(
        self,
        verb: str,
        *more: str,
        stdout: int | IO[str] = subprocess.PIPE,
        stderr: int | IO[str] = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        words = [
            sys.executable,
            str(CONSUMER),
            verb,
            *self._words[:4],
            *(more if verb == "gaps" else self._words[4:]),
        ]
        return subprocess.Popen(words, stdout=stdout, stderr=stderr, text=True, env=os.environ)

    def ended(self) -> int:
        """Its exit code, when it has ended."""
        assert self._process is not None
        out, err = self._process.communicate(timeout=DEADLINE_S)
        self.said += out + err
        return self._process.returncode


def rows(database: Any) -> int:
    """How many verdicts a consumer's database holds."""
    return int(database.execute("SELECT COUNT(*) FROM verdicts").fetchone()[0])


def holds(database: Any, count: int) -> None:
    eventually(lambda: rows(database) == count, f"{count} verdicts are stored")
