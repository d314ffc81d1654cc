"""A consumer of verdicts to start from: copy the folder, read it, own it, change it.

    consumer.py run  --database sqlite:///verdicts.sqlite3 --host BROKER [--crops FOLDER] [--confirm]
    consumer.py gaps --database sqlite:///verdicts.sqlite3 [--heal --host BROKER]

It needs paho-mqtt, and psycopg for postgresql://USER@HOST/NAME. Beside it stand what is kept (store.py),
what is missing (gaps.py) and what is said to stations (station.py). Four things make it lose nothing:

1. Its session is durable: a fixed client id, no clean start, and a week until the broker forgets it.
2. A message is acknowledged after the commit that stores it; what a crash leaves unacknowledged comes again.
3. What comes again is not stored again: result_id is the key, ON CONFLICT DO NOTHING.
4. Sequence numbers have no gap, so a missing number is a missing verdict: `gaps` names it, and `--heal`
   asks the station to publish it once more. What is missing after the last one shows when the next one comes.

Whatever cannot be read is kept in the table `unreadable` and acknowledged, or it would come for ever.
When database or disk fail, the process ends with code 2; let a supervisor start it again.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gaps import Island, find_gaps
from station import command, heal, make_client
from store import ConsumerError, Database, UnreadableError, Verdict, keep_crop, read

SESSION_EXPIRY_S = 7 * 24 * 3600
RECONNECT_S = 1.0
BATCH = 200  # messages in one commit
CONFIRMED_AT_A_TIME = 500  # the station takes no more in one command


class Consumer:
    """Receives, commits, acknowledges; one thread, one connection after the other."""

    def __init__(self, options: argparse.Namespace, database: Database) -> None:
        self._options = options
        self._database = database
        self._batch: list[paho.MQTTMessage] = []
        self.stored = self.again = self.crops = self.unreadable = 0
        self.stopping = False

    def run(self) -> None:
        while not self.stopping:
            client = make_client(self._options, self._options.client_id)
            client.on_connect, client.on_subscribe = self._subscribe, self._subscribed
            client.on_message = lambda _client, _data, message: self._batch.append(message)
            try:
                session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                session.SessionExpiryInterval = SESSION_EXPIRY_S
                client.connect(self._options.host, self._options.port, clean_start=False, properties=session)
                while not self.stopping and self._gather(client):
                    self._settle(client)
            except OSError as error:
                tell(f"{self._options.host}:{self._options.port}: {error}; it is tried again")
            client.disconnect()
            self._batch.clear()  # unacknowledged, so it comes again
            if not self.stopping:
                time.sleep(RECONNECT_S)

    def _gather(self, client: paho.Client) -> bool:
        """Fill the batch with what is there; False when the connection has ended."""
        had, timeout_s = -1, 0.25
        while had < len(self._batch) < BATCH:
            had = len(self._batch)
            if client.loop(timeout_s) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return False
            timeout_s = 0.0
        return True

    def _settle(self, client: paho.Client) -> None:
        """Store the batch, then acknowledge it, then tell the stations that it is stored."""
        batch, self._batch = self._batch, []
        verdicts, unreadable = [], []
        for message in batch:
            try:
                if "/crop/" in message.topic:
                    self._keep(message)
                else:
                    verdicts.append(read(message.topic, bytes(message.payload)))
            except UnreadableError as error:
                unreadable.append((message.topic, str(error), bytes(message.payload)))
                tell(f"{message.topic}: {error}; kept in the table unreadable")
        if verdicts or unreadable:
            new = self._database.store(verdicts, unreadable)
            self.stored, self.again = self.stored + new, self.again + len(verdicts) - new
            self.unreadable += len(unreadable)
        for message in batch:
            client.ack(message.mid, message.qos)
        if self._options.confirm:
            self._confirm(client, verdicts)

    def _keep(self, message: paho.MQTTMessage) -> None:
        keep_crop(self._options.crops, message)
        self.crops += 1

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
        kinds = ["verdict"] if self._options.crops is None else ["verdict", "crop"]
        client.subscribe([(f"{self._options.stations}/{kind}/+", 1) for kind in kinds])

    def _subscribed(
        self, _client: paho.Client, _data: Any, _mid: int, reasons: Any, _properties: Any
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            raise ConsumerError(f"{self._options.stations}: the broker refused the subscription")
        tell(f"listening to {self._options.stations}")


def report(options: argparse.Namespace, database: Database) -> int:
    """Print every gap; 1 when there is one."""
    by_source: dict[str, list[Island]] = defaultdict(list)
    for island in database.islands():
        by_source[island.source].append(island)
    gaps = [gap for islands in by_source.values() for gap in find_gaps(islands)]
    for gap in gaps:
        lost = "" if gap.current else "; of an earlier numbering, the station has it no more"
        count = gap.last - gap.first + 1
        print(f"{gap.source} before boot {gap.boot_id}: {gap.first} to {gap.last} missing ({count}){lost}")
    print(f"{len(gaps)} gaps in {len(by_source)} stations")
    wanted = [gap for gap in gaps if gap.current]
    if options.heal and wanted:
        heal(options, wanted)
    return 1 if gaps else 0


def tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def parse(words: Sequence[str]) -> argparse.Namespace:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--database", required=True, help="sqlite:///FILE or postgresql://USER@HOST/NAME")
    shared.add_argument("--host", default="127.0.0.1", help="of the broker")
    shared.add_argument("--port", type=int, default=1883)
    shared.add_argument("--client-id", default="mes", help="names the durable session; one for each consumer")
    shared.add_argument("--username")
    shared.add_argument("--password-file", type=Path)
    shared.add_argument("--ca-file", help="certificates of the broker's authority in PEM; turns TLS on")
    shared.add_argument("--cert-file", help="our own certificate in PEM")
    shared.add_argument("--key-file", help="and its key")
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", parents=[shared], help="store verdicts until SIGTERM")
    run.add_argument("--stations", default="plumbline/v1/+/+/+/+", help="topic filter down to the station")
    run.add_argument("--crops", type=Path, help="folder for pictures of defects; none are taken without it")
    run.add_argument("--confirm", action="store_true", help="send cmd/ack with what has been stored")
    gaps = verbs.add_parser("gaps", parents=[shared], help="name missing verdicts; exit 1 when there are any")
    gaps.add_argument("--heal", action="store_true", help="ask the stations for them with cmd/replay")
    return parser.parse_args(words)


def main() -> int:
    options = parse(sys.argv[1:])
    try:
        database = Database(options.database)
        if options.verb == "gaps":
            return report(options, database)
        if options.crops is not None:
            options.crops.mkdir(parents=True, exist_ok=True)
        consumer = Consumer(options, database)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: setattr(consumer, "stopping", True))
        consumer.run()
        database.close()
    except (ConsumerError, OSError) as error:
        tell(f"consumer: {error}")
        return 2
    counts = f"stored {consumer.stored}, again {consumer.again}, crops {consumer.crops}"
    tell(f"{counts}, unreadable {consumer.unreadable}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
