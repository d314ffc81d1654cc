"""A consumer of verdicts to start from: copy the folder, read it, own it, change it.

    consumer.py run  --database sqlite:///verdicts.sqlite3 --host BROKER [--crops FOLDER] [--confirm]
    consumer.py gaps --database sqlite:///verdicts.sqlite3 [--heal --host BROKER]
    consumer.py check --database sqlite:///verdicts.sqlite3 [--key STATION.PEM]... [--from N] [--to N]

It needs paho-mqtt, psycopg for postgresql://USER@HOST/NAME, and cryptography for `check`. Beside it stand
what is kept (store.py, crops.py, marks.py), what stations promise (contract.py) and are like (life.py),
what is missing (gaps.py, report.py), what was changed (chain.py) and what is said to stations (station.py).
Four things make it lose nothing:

1. Its session is durable: a fixed client id, no clean start, and a week until the broker forgets it.
2. A message is acknowledged after the commit that stores it; what a crash leaves unacknowledged comes again.
3. What comes again is not stored again: result_id is the key, ON CONFLICT DO NOTHING.
4. Sequence numbers have no gap, so a missing number is a missing verdict: `gaps` names it, and `--heal`
   asks the station to publish it once more. What is missing after the last one shows when the next one comes.

Whatever cannot be read is kept in the table `unreadable` and acknowledged, or it would come for ever.
A broker that is away is tried again. When database or crops folder fail, the process ends with code 2 and
names them, after the verdicts that came with the crop are stored; let a supervisor start it again.

Exit codes of `run`: 0 it was told to stop; 2 something must be mended. SQLite is in WAL mode: read while
it stores. Exit codes of `gaps`, which never makes a database:

0   no verdict is missing that a station may still have; what is gone for good is told each time
1   verdicts are missing; with --heal: they are still missing
2   it could not look, or not ask
3   nothing is missing of what came, but that proves little: no station is known, or one is offline
    (it vanished, or its broker connection did) or said spool_full, so that its line waits

`check` goes along the chain of records and says which is the first that is not what the station made:

0   no link is broken, as far as heads sign for them
1   one is: it is named, with what was expected and what stands there
2   it could not look
3   no link is broken, and there is a segment, or all there is, that no head signs for
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from chain import check, describe, read_keys
from contract import OTHERS, ConsumerError, UnreadableError, place, shown
from crops import Crop, keep, open_folder, read_crop
from life import Event, Status, read_event, read_status, stamp
from marks import Mark, read_mark
from report import report
from station import NetworkError, command, make_client, network
from store import Database, Other, Verdict, read, read_other

SESSION_EXPIRY_S = 7 * 24 * 3600
RECONNECT_S = 1.0
BATCH = 200  # messages in one commit
CONFIRMED_AT_A_TIME = 500  # the station takes no more in one command


class Batch:
    """Messages, sorted by what they are."""

    def __init__(self, messages: Sequence[paho.MQTTMessage]) -> None:
        self.verdicts: list[Verdict] = []
        self.statuses: list[Status] = []
        self.events: list[Event] = []
        self.marks: list[Mark] = []
        self.others: list[Other] = []
        self.unreadable: list[tuple[str, str, bytes]] = []
        self.crops: list[tuple[Crop, paho.MQTTMessage]] = []
        self.for_database: list[paho.MQTTMessage] = []
        self.now = stamp(datetime.now(timezone.utc))
        for message in messages:
            try:
                self._sort(message)
            except UnreadableError as error:
                self.unreadable.append((message.topic, str(error), bytes(message.payload)))
                self.for_database.append(message)

    def _sort(self, message: paho.MQTTMessage) -> None:
        where, payload = place(message.topic), bytes(message.payload)
        match where.kind:
            case "crop":
                self.crops.append((read_crop(message), message))
                return
            case "status":
                self.statuses.append(read_status(where, payload, self.now))
            case "event":
                self.events.append(read_event(where, payload))
            case "mark":
                self.marks.append(read_mark(where, payload))
            case "head" | "part" | "actuation":
                self.others.append(read_other(where, payload))
            case _:
                self.verdicts.append(read(message.topic, payload))
        self.for_database.append(message)


class Consumer:
    """Receives, commits, acknowledges; one thread, one connection after the other."""

    def __init__(self, options: argparse.Namespace, database: Database) -> None:
        self._options = options
        self._database = database
        self._received: list[paho.MQTTMessage] = []
        self.stored = self.again = self.crops = self.unreadable = 0
        self.stopping = False

    def run(self) -> None:
        """Until it is told to stop. Raises ConsumerError; a broker that is away is tried again."""
        while not self.stopping:
            client = make_client(self._options, self._options.client_id)
            client.on_connect, client.on_subscribe = self._subscribe, self._subscribed
            client.on_message = lambda _client, _data, message: self.take([message])
            try:
                self._converse(client)
            except NetworkError as error:
                tell(f"{self._options.host}:{self._options.port}: {error}; it is tried again")
            finally:
                with contextlib.suppress(OSError):
                    client.disconnect()
            self._received.clear()  # unacknowledged, so it comes again
            if not self.stopping:
                time.sleep(RECONNECT_S)

    def _converse(self, client: paho.Client) -> None:
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = SESSION_EXPIRY_S
        with network():
            client.connect(self._options.host, self._options.port, clean_start=False, properties=session)
        while not self.stopping:
            self._gather(client)
            self.settle(client)

    def _gather(self, client: paho.Client) -> None:
        """Take what is there, at most a batch. Raises NetworkError when the connection has ended."""
        had, timeout_s = -1, 0.25
        while had < len(self._received) < BATCH:
            had = len(self._received)
            with network():
                code = client.loop(timeout_s)
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise NetworkError(paho.error_string(code))
            timeout_s = 0.0

    def take(self, messages: Sequence[paho.MQTTMessage]) -> None:
        """They have come; nothing is stored yet."""
        self._received.extend(messages)

    def settle(self, client: paho.Client) -> None:
        """Store, then acknowledge, then tell the stations; crops come last: a full disk stops no verdict."""
        received, self._received = self._received, []
        if not received:
            return
        batch = Batch(received)
        for topic, reason, _ in batch.unreadable:
            tell(f"{topic}: {reason}; kept in the table unreadable")
        new = self._database.store(
            batch.verdicts,
            batch.unreadable,
            batch.statuses,
            batch.events,
            batch.marks,
            batch.others,
            now=batch.now,
        )
        self.stored, self.again = self.stored + new, self.again + len(batch.verdicts) - new
        self.unreadable += len(batch.unreadable)
        with network():
            for message in batch.for_database:
                client.ack(message.mid, message.qos)
            if self._options.confirm:
                self._confirm(client, batch.verdicts)
        for crop, message in batch.crops:
            keep(self._options.crops, crop)
            self.crops += 1
            with network():
                client.ack(message.mid, message.qos)

    def _confirm(self, client: paho.Client, verdicts: Sequence[Verdict]) -> None:
        by_source: dict[str, list[str]] = defaultdict(list)
        for verdict in verdicts:
            by_source[verdict.source].append(verdict.result_id)
        for source, ids in by_source.items():
            for start in range(0, len(ids), CONFIRMED_AT_A_TIME):
                _, payload = command({"result_ids": ids[start : start + CONFIRMED_AT_A_TIME]})
                client.publish(f"{source}/cmd/ack", payload, qos=1)

    def _subscribe(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            raise ConsumerError(f"{self._options.host}: the broker refused us: {reason}")
        crops = [] if self._options.crops is None else ["crop/+"]
        kinds = ["verdict/+", "status", "event", "mark", *OTHERS, *crops]
        try:
            client.subscribe([(f"{self._options.stations}/{kind}", 1) for kind in kinds])
        except ValueError as error:
            raise ConsumerError(f"--stations {self._options.stations}: {error}") from error

    def _subscribed(
        self, _client: paho.Client, _data: Any, _mid: int, reasons: Any, _properties: Any
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            raise ConsumerError(f"{self._options.stations}: the broker refused the subscription")
        tell(f"listening to {self._options.stations}")


def tell(words: str) -> None:
    with contextlib.suppress(OSError):  # a log on a full disk stops no verdict
        print(shown(words), file=sys.stderr, flush=True)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= 65_535:
        raise argparse.ArgumentTypeError("give 1 to 65535")
    return int(text)


def _text(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def _host(text: str) -> str:
    """Where addresses with passwords are pasted, and errors would name them: argparse says no value here."""
    if not re.fullmatch(r"[\w.:%-]+", text):
        raise ConsumerError("--host: give the broker's name or IP address alone; without user and password")
    return text


def parse(words: Sequence[str]) -> argparse.Namespace:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--database", required=True, help="sqlite:///FILE or postgresql://USER@HOST/NAME")
    shared.add_argument("--host", type=_host, default="127.0.0.1", help="of the broker")
    shared.add_argument("--port", type=_port, default=1883)
    shared.add_argument(
        "--client-id", type=_text, default="mes", help="names the durable session; one for each consumer"
    )
    shared.add_argument("--username")
    shared.add_argument("--password-file", type=Path)
    shared.add_argument("--ca-file", help="certificates of the broker's authority in PEM; turns TLS on")
    shared.add_argument("--cert-file", help="our own certificate in PEM")
    shared.add_argument("--key-file", help="and its key")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", parents=[shared], help="store verdicts until SIGTERM")
    run.add_argument("--stations", default="plumbline/v1/+/+/+/+", help="topic filter down to the station")
    run.add_argument("--crops", type=Path, help="folder for pictures of defects; none are taken without it")
    run.add_argument("--confirm", action="store_true", help="send cmd/ack with what has been stored")
    gaps = verbs.add_parser("gaps", parents=[shared], help="name missing verdicts and dead stations")
    gaps.add_argument("--heal", action="store_true", help="ask the stations for them with cmd/replay")
    chain = verbs.add_parser("check", help="name the first record that is not what its station made")
    chain.add_argument("--database", required=True, help="sqlite:///FILE or postgresql://USER@HOST/NAME")
    keys = "a station's public key in PEM; again for each station of the database"
    chain.add_argument("--key", type=Path, action="append", default=[], help=keys)
    chain.add_argument("--from", dest="first", type=int, help="first record, by chain.number")
    chain.add_argument("--to", dest="last", type=int, help="last record, by chain.number")
    return parser.parse_args(words)


def check_chain(options: argparse.Namespace, database: Database) -> int:
    """Print every segment and its first broken link, and give the exit code."""
    found = check(database.bodies(), read_keys(options.key), options.first, options.last)
    for segment in found.segments:
        print(shown(describe(segment)))
    if found.unplaced:
        print(f"{found.unplaced} records have no place in a chain, as those of an older agent")
    if not options.key and any(segment.keys for segment in found.segments):
        print("without --key it is only known that one and the same key has signed for each station")
    broken = [*found.broken, *islice(database.altered(), 1)]
    print("\n".join(broken) or "no link is broken")
    if broken:
        return 1
    is_signed = bool(found.segments) and all(one.heads for one in found.segments if one.last)
    return 0 if is_signed else 3


def main() -> int:
    try:
        options = parse(sys.argv[1:])
        if options.verb != "run":
            database = Database(options.database, may_make=False)
            code = (report if options.verb == "gaps" else check_chain)(options, database)
            sys.stdout.flush()
            return code
        database = Database(options.database)
        if options.crops is not None:
            open_folder(options.crops)
        consumer = Consumer(options, database)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: setattr(consumer, "stopping", True))
        consumer.run()
        database.close()
    except ConsumerError as error:
        tell(f"consumer: {error}")
        return 2
    except OSError as error:  # of standard output: all else is explained where it happens
        tell(f"consumer: the report cannot be written: {error.strerror}")
        os._exit(2)  # Python would try once more to write it
    counts = f"stored {consumer.stored}, again {consumer.again}, crops {consumer.crops}"
    tell(f"{counts}, unreadable {consumer.unreadable}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
