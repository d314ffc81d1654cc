"""A real mosquitto and an independent subscriber, for tests that want to see messages arrive."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import termios
import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.contract.chain import parted

HOST = "127.0.0.1"
DEADLINE_S = 120.0  # an agent's start alone takes a minute where eight others have the cores

PAUSE_RATIO = 9.0  # of a wait, what its condition leaves over: nine tenths


def eventually(condition: Callable[[], object], what: str, timeout_s: float = DEADLINE_S) -> None:
    """Wait until `condition` holds; a loaded machine may take its time, a broken one fails.

    A condition that reads all that has arrived computes; its pauses leave the cores to what it waits for.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        begun_s = time.thread_time()
        if condition():
            return
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s"
        time.sleep(max(0.01, PAUSE_RATIO * (time.thread_time() - begun_s)))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """A broker that writes every change to disk, so that it can be killed without losing sessions."""

    host = HOST

    def __init__(self, folder: Path, *extra: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._extra = extra

    def start(self) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        assert program, "mosquitto is not installed: apt-get install mosquitto"
        self._folder.mkdir(exist_ok=True)
        configuration = self._folder / "mosquitto.conf"
        configuration.write_text("\n".join(self.configuration()) + "\n", encoding="utf-8")
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([program, "-c", configuration], stdout=log, stderr=log)
        eventually(self._answers, "mosquitto accepts connections")

    def configuration(self) -> list[str]:
        """The lines of mosquitto.conf."""
        return [
            f"listener {self.port} {HOST}",
            f"user {getpass.getuser()}",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {self._folder}/",
            "autosave_on_changes true",
            "autosave_interval 1",
            "max_queued_messages 0",
            *self._extra,
        ]

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def reload(self) -> None:
        """Read its ACL file again; connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def freeze(self) -> None:
        """Connections stay, nothing is answered, until it is killed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def _answers(self) -> bool:
        assert self._process is not None
        log = (self._folder / "mosquitto.log").read_text(encoding="utf-8")
        assert self._process.poll() is None, f"mosquitto did not start: {log}"
        try:
            with socket.create_connection((HOST, self.port), timeout=1):
                return True
        except OSError:
            return False

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(DEADLINE_S)
            self._process = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    topic: str
    payload: bytes
    retained: bool
    content_type: str | None
    properties: tuple[tuple[str, str], ...]
    correlation_data: bytes | None = None
    at_s: float = 0.0  # monotonic

    @property
    def content(self) -> bytes:
        """Without its place in the chain of records."""
        return parted(self.payload)[0]

    @property
    def own_properties(self) -> tuple[tuple[str, str], ...]:
        return tuple(one for one in self.properties if one[0] != "chain")

    def json(self) -> Any:
        """Read once, however often a condition looks at it; nobody changes what it gives."""
        return _parsed(self.payload)


@lru_cache(maxsize=20_000)
def _parsed(payload: bytes) -> Any:
    return json.loads(payload)


class Subscriber:
    """An MQTT 5 client with a session that outlives broker restarts; keeps all it receives, in order."""

    def __init__(
        self,
        port: int,
        topic_filter: str,
        client_id: str = "subscriber",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self._port = port
        self._filter = topic_filter
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5)
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]

    def start(self) -> None:
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = 3600
        self._client.connect(HOST, self._port, clean_start=False, properties=session)
        self._client.loop_start()
        assert self._subscribed.wait(DEADLINE_S), "the subscription was not acknowledged"

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        # Without a cycle it goes at once, and closes its sockets first.
        self._client.on_connect = self._client.on_subscribe = self._client.on_message = None

    def wait_for_connection(self, number: int) -> None:
        """The first is number 1."""
        eventually(lambda: self.connections >= number, f"connection {number} of the subscriber")

    def unread_bytes(self) -> int:
        """What the broker has sent and this has not read yet."""
        size = array("i", [0])
        fcntl.ioctl(self._client.socket(), termios.FIONREAD, size)
        return size[0]

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(self._filter, qos=1)
        self.connections += 1

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        self.received.append(
            Received(
                topic=message.topic,
                payload=bytes(message.payload),
                retained=message.retain,
                content_type=getattr(message.properties, "ContentType", None),
                properties=tuple(getattr(message.properties, "UserProperty", ())),
                correlation_data=getattr(message.properties, "CorrelationData", None),
                at_s=time.monotonic(),
            )
        )


def kill_once_read(broker: Mosquitto, subscriber: Subscriber) -> None:
    """SIGKILL to a broker whose acknowledgements are kept: mosquitto writes them down a moment later.

    A subscriber whose own acknowledgement finds nobody closes, and what it had not read is gone with the
    broker; so the broker stops where it is, the subscriber reads what it was sent, and the broker dies.
    """
    broker.freeze()
    eventually(lambda: subscriber.unread_bytes() == 0, "the subscriber reads what it was sent")
    broker.kill()
