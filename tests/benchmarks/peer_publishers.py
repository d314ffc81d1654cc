"""Verdicts published as others publish theirs, ten a second, each publisher a process of its own.

As Frigate does: blakeblackshear/frigate, frigate/comms/mqtt.py at dea03ea0. One paho client, MQTT 3.1.1,
keepalive 60 s, `connect_async` and `loop_start`; QoS is a setting whose default is 0; while paho's callbacks
say that there is no connection, `publish` drops the message with a line at debug level. And as paho's
defaults have it, with QoS 1: the client takes every message and queues in memory without a bound. Both leave
it to paho to connect again, after 1 s, 2 s, 4 s and so on up to 120 s.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.brokers import DEADLINE_S, HOST

RATE_HZ = 10.0
KEEPALIVE_S = 60
TOPIC = "peer/verdict"


class PeerPublisher:
    """The parent's end: lives one after the other, which number their verdicts on from each other."""

    topic = TOPIC

    def __init__(self, style: str, folder: Path, port: int) -> None:
        self._style = style
        self._made = folder / "made"
        self._port = port
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._made.touch()
        words = [self._style, str(self._port), str(self._made), str(self.made() + 1)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def made(self) -> int:
        """Its verdicts so far, of all lives."""
        return self._made.read_bytes().count(b"\n")

    def halt(self) -> int:
        """It makes no more, and goes on delivering; how many it made."""
        assert self._process is not None and self._process.stdin and self._process.stdout
        self._process.stdin.close()
        assert self._process.stdout.readline() == "halted\n"
        return self.made()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    stop = kill


def main() -> None:
    style, port, made, first = sys.argv[1:]
    connected = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="peer")
    client.on_connect = lambda *_: connected.set()
    client.on_disconnect = lambda *_: connected.clear()
    client.connect_async(HOST, int(port), KEEPALIVE_S)
    client.loop_start()
    if int(first) == 1:  # later lives begin in the outage
        assert connected.wait(DEADLINE_S)
    with Path(made).open("ab", buffering=0) as log:
        make(STYLES[style], client, connected, log.fileno(), int(first))
    print("halted", flush=True)
    threading.Event().wait()  # the client goes on by itself until this is killed


def make(style: Style, client: paho.Client, connected: threading.Event, log: int, first: int) -> None:
    """A verdict each 0.1 s until nobody holds the other end of stdin."""
    began_s, number = time.monotonic(), first
    while True:
        due_s = began_s + (number - first) / RATE_HZ
        if select.select([sys.stdin], [], [], max(0.0, due_s - time.monotonic()))[0]:
            return
        os.write(log, b"%d\n" % number)
        style(client, connected, b'{"sequence":%d}' % number)
        number += 1


def as_frigate(client: paho.Client, connected: threading.Event, payload: bytes) -> None:
    if connected.is_set():
        client.publish(TOPIC, payload, qos=0)


def as_paho(client: paho.Client, _: threading.Event, payload: bytes) -> None:
    client.publish(TOPIC, payload, qos=1)


Style = Callable[[paho.Client, threading.Event, bytes], Any]
STYLES: dict[str, Style] = {"frigate": as_frigate, "paho": as_paho}

if __name__ == "__main__":
    main()
