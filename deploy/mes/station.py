"""What is said to stations: the client, the commands, and the request for what is missing."""

from __future__ import annotations

import argparse
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from contract import ConsumerError, shown
from gaps import Gap, Gone

COMMAND_LIFE = timedelta(minutes=5)
ANSWER_TIMEOUT_S = 10.0
MAX_PASSWORD_BYTES = 4096
REPLAYED_AT_A_TIME = 100_000  # the station takes no more in one command


class NetworkError(Exception):
    """The broker cannot be reached just now; it is tried again."""


class Healing(NamedTuple):
    """What stations said of what was asked for."""

    replayed: int  # verdicts that are on their way
    gone: list[Gone]


@contextmanager
def network() -> Iterator[None]:
    """Raises NetworkError for an OSError inside, where nothing but the network may be touched."""
    try:
        yield
    except UnicodeError as error:
        raise ConsumerError(f"--host: not the name of a machine ({error})") from error
    except OSError as error:
        raise NetworkError(str(error)) from error


def make_client(options: argparse.Namespace, client_id: str) -> paho.Client:
    """An MQTT 5 client that acknowledges only what it is told to. Raises ConsumerError for a bad file."""
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=paho.MQTTv5,
        manual_ack=True,
        reconnect_on_failure=False,
    )
    if options.username is not None:
        client.username_pw_set(options.username, _password(options.password_file))
    if options.ca_file is not None:
        try:
            client.tls_set(options.ca_file, options.cert_file, options.key_file)
        except (OSError, ValueError) as error:  # ssl.SSLError is one of them
            raise ConsumerError(
                f"--ca-file {options.ca_file}, --cert-file {options.cert_file}, --key-file "
                f"{options.key_file}: {error}; each must be there, readable and in PEM"
            ) from error
    return client


def _password(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        if path.exists() and not path.is_file():
            raise ConsumerError(f"--password-file {path}: no file; name one that holds the password")
        with path.open("rb") as file:  # of what is larger the start is no password either
            password = file.read(MAX_PASSWORD_BYTES + 1).decode("utf-8-sig").rstrip("\r\n")
    except OSError as error:
        raise ConsumerError(f"--password-file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConsumerError(f"--password-file {path}: not text in UTF-8; write it anew") from error
    if not password.strip() or not password.isprintable() or len(password) > MAX_PASSWORD_BYTES:
        raise ConsumerError(f"--password-file {path}: it holds the password in one line and nothing else")
    return password


def command(args: dict[str, Any]) -> tuple[str, bytes]:
    """A new command's id and payload."""
    id_ = str(uuid.uuid4())
    expires = (datetime.now(timezone.utc) + COMMAND_LIFE).isoformat(timespec="seconds").replace("+00:00", "Z")
    said = {"schema": "plumbline.command/1", "id": id_, "expires": expires, "args": args}
    return id_, json.dumps(said).encode()


def heal(options: argparse.Namespace, gaps: Sequence[Gap]) -> Healing:
    """Ask the stations for what is missing, and print their answers. Raises ConsumerError."""
    try:
        return _heal(options, gaps)
    except NetworkError as error:
        raise ConsumerError(f"{options.host}:{options.port}: {error}") from error


def _heal(options: argparse.Namespace, gaps: Sequence[Gap]) -> Healing:
    waiting: dict[str, Gap] = {}
    replayed: list[int] = []
    gone: list[Gone] = []
    subscribed: list[Any] = []

    def answered(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        said = _answer(message.payload)
        asked = waiting.pop(said["id"], None) if said is not None else None
        if said is None or asked is None:  # whoever may publish there may publish anything
            return
        data = said.get("data")
        print(f"{_asked(asked)}: {said.get('code')} {shown(str(said.get('message')))} {json.dumps(data)}")
        if said.get("code") == 200 and isinstance(data, dict):
            count = data.get("replayed")
            replayed.append(count if type(count) is int else 0)
            gone.extend(gone_in(asked, data.get("gone")))

    client = make_client(options, f"{options.client_id}-heal-{os.getpid()}")
    client.on_message = answered
    client.on_subscribe = lambda *_: subscribed.append(True)
    with network():
        client.connect(options.host, options.port)
        _until(client, client.is_connected)
        client.subscribe([(f"{source}/rsp/replay", 1) for source in sorted({gap.source for gap in gaps})])
        _until(client, lambda: bool(subscribed))
        for gap in gaps:
            for first in range(gap.first, gap.last + 1, REPLAYED_AT_A_TIME):
                last = min(gap.last, first + REPLAYED_AT_A_TIME - 1)
                id_, payload = command({"from_sequence": first, "to_sequence": last})
                waiting[id_] = gap._replace(first=first, last=last)
                client.publish(f"{gap.source}/cmd/replay", payload, qos=1)
        _until(client, lambda: not waiting)
        client.disconnect()
    for asked in waiting.values():
        print(
            f"{_asked(asked)}: no answer within {ANSWER_TIMEOUT_S:.0f} s; the command stands for five minutes"
        )
    return Healing(sum(replayed), gone)


def gone_in(asked: Gap, said: object) -> list[Gone]:
    """The [first, last] pairs of an answer, as far as they were asked about; what is no pair is left out."""
    found = []
    for pair in said if isinstance(said, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and all(type(one) is int for one in pair):
            first, last = max(pair[0], asked.first), min(pair[1], asked.last)
            if first <= last:
                found.append(Gone(asked.source, asked.boot_id, first, last))
    return found


def _answer(payload: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and isinstance(said.get("id"), str) else None


def _asked(gap: Gap) -> str:
    return f"{gap.source}: asked for {gap.first} to {gap.last}"


def _until(client: paho.Client, done: Callable[[], bool]) -> None:
    """Let the client work until `done`, or for a while. Raises ConsumerError when the connection ends."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while not done() and time.monotonic() < deadline:
        if client.loop(0.1) != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ConsumerError("the broker ended the connection; see its log, --username and --ca-file")
