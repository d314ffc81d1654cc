"""What is said to stations: the client, the commands, and the request for what is missing."""

from __future__ import annotations

import argparse
import json
import os
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from gaps import Gap
from store import ConsumerError

COMMAND_LIFE = timedelta(minutes=5)
ANSWER_TIMEOUT_S = 10.0
REPLAYED_AT_A_TIME = 100_000  # the station takes no more in one command


def make_client(options: argparse.Namespace, client_id: str) -> paho.Client:
    """An MQTT 5 client that acknowledges only what it is told to."""
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=paho.MQTTv5,
        manual_ack=True,
        reconnect_on_failure=False,
    )
    if options.username is not None:
        password = options.password_file and options.password_file.read_text().rstrip("\r\n")
        client.username_pw_set(options.username, password)
    if options.ca_file is not None:
        client.tls_set(options.ca_file, options.cert_file, options.key_file)
    return client


def command(args: dict[str, Any]) -> tuple[str, bytes]:
    """A new command's id and payload."""
    id_ = str(uuid.uuid4())
    expires = (datetime.now(timezone.utc) + COMMAND_LIFE).isoformat(timespec="seconds").replace("+00:00", "Z")
    said = {"schema": "plumbline.command/1", "id": id_, "expires": expires, "args": args}
    return id_, json.dumps(said).encode()


def heal(options: argparse.Namespace, gaps: Sequence[Gap]) -> None:
    """Ask the stations for what is missing, and print their answers. Raises ConsumerError or OSError."""
    waiting: dict[str, str] = {}
    subscribed: list[Any] = []

    def answered(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        said = json.loads(message.payload)
        asked = waiting.pop(said["id"], None)
        if asked is not None:
            print(f"{asked}: {said['code']} {said['message']} {json.dumps(said['data'])}")

    client = make_client(options, f"{options.client_id}-heal-{os.getpid()}")
    client.on_message = answered
    client.on_subscribe = lambda *_: subscribed.append(True)
    client.connect(options.host, options.port)
    _until(client, client.is_connected)
    client.subscribe([(f"{source}/rsp/replay", 1) for source in sorted({gap.source for gap in gaps})])
    _until(client, lambda: bool(subscribed))
    for gap in gaps:
        for first in range(gap.first, gap.last + 1, REPLAYED_AT_A_TIME):
            last = min(gap.last, first + REPLAYED_AT_A_TIME - 1)
            id_, payload = command({"from_sequence": first, "to_sequence": last})
            waiting[id_] = f"{gap.source}: asked for {first} to {last}"
            client.publish(f"{gap.source}/cmd/replay", payload, qos=1)
    _until(client, lambda: not waiting)
    client.disconnect()
    for asked in waiting.values():
        print(f"{asked}: no answer within {ANSWER_TIMEOUT_S:.0f} s; the command stands for five minutes")


def _until(client: paho.Client, done: Callable[[], bool]) -> None:
    """Let the client work until `done`, or for a while. Raises ConsumerError when the connection ends."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while not done() and time.monotonic() < deadline:
        if client.loop(0.1) != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ConsumerError("the broker ended the connection; see its log, --username and --ca-file")
