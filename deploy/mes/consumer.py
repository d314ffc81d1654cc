"""A consumer of verdicts to start from: read it, own it, change it.

    consumer.py run  --database sqlite:///verdicts.sqlite3 --host BROKER [--crops FOLDER] [--confirm]
    consumer.py gaps --database sqlite:///verdicts.sqlite3 [--heal --host BROKER]

It needs paho-mqtt, and psycopg for postgresql://USER@HOST/NAME. Four things make it lose nothing:

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
import hashlib
import importlib
import json
import os
import re
import signal
import sqlite3
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

SESSION_EXPIRY_S = 7 * 24 * 3600
COMMAND_LIFE = timedelta(minutes=5)
ANSWER_TIMEOUT_S = 10.0
RECONNECT_S = 1.0
BATCH = 200  # messages in one commit
CONFIRMED_AT_A_TIME = 500  # the station takes no more in one command
REPLAYED_AT_A_TIME = 100_000

TOPIC = re.compile(
    r"(plumbline/v1(?:/[a-z0-9_-]{1,64}){3}/([a-z0-9_-]{1,64}))/(verdict|crop)/[a-z0-9_-]{1,64}"
)
PICTURES = {b"\xff\xd8": ".jpg", b"\x89P": ".png"}

TABLES = (
    """CREATE TABLE IF NOT EXISTS verdicts (
        arrival {identity},
        result_id TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL,
        station TEXT NOT NULL,
        boot_id TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        camera TEXT NOT NULL,
        created TEXT NOT NULL,
        verdict TEXT NOT NULL,
        part_id TEXT,
        replayed INTEGER NOT NULL,
        body TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS verdicts_sequence ON verdicts (source, boot_id, sequence)",
    """CREATE TABLE IF NOT EXISTS unreadable (
        arrival {identity}, topic TEXT NOT NULL, reason TEXT NOT NULL, payload {bytes} NOT NULL)""",
)
INSERT_UNREADABLE = "INSERT INTO unreadable (topic, reason, payload) VALUES (?, ?, ?)"
ISLANDS = """SELECT source, boot_id, MIN(sequence), MAX(sequence), MIN(arrival), MIN(replayed) FROM (
        SELECT source, boot_id, sequence, arrival, replayed,
            sequence - DENSE_RANK() OVER (PARTITION BY source, boot_id ORDER BY sequence) AS island
        FROM verdicts) AS numbered
    GROUP BY source, boot_id, island ORDER BY source, MIN(sequence)"""


class ConsumerError(Exception):
    """What a person has to mend."""


class UnreadableError(Exception):
    """A message that is no verdict and no crop."""


class Verdict(NamedTuple):
    """The columns of one verdict; `source` is its topic down to the station."""

    result_id: str
    source: str
    station: str
    boot_id: str
    sequence: int
    camera: str
    created: str
    verdict: str
    part_id: str | None
    replayed: int
    body: str


INSERT = f"""INSERT INTO verdicts ({", ".join(Verdict._fields)})
    VALUES ({", ".join("?" * len(Verdict._fields))}) ON CONFLICT (result_id) DO NOTHING"""


class Island(NamedTuple):
    """Verdicts of one boot whose sequence numbers follow each other."""

    source: str
    boot_id: str
    first: int
    last: int
    arrival: int  # of the earliest of them
    replayed: int  # 1: all of them


class Gap(NamedTuple):
    """Sequence numbers that are missing before a verdict of `boot_id`."""

    source: str
    boot_id: str
    first: int
    last: int
    current: bool  # in the numbering that the station uses now: it can be asked for them


def read(topic: str, payload: bytes) -> Verdict:
    """The verdict in a message. Raises UnreadableError."""
    place = TOPIC.fullmatch(topic)
    if place is None:
        raise UnreadableError("not the topic of a verdict")
    try:
        body = payload.decode()
        said = json.loads(body)
        if said["schema"] != "plumbline.verdict/1":
            raise UnreadableError(f"schema {said['schema']!r}")
        found = Verdict(
            result_id=said["result_id"],
            source=place[1],
            station=said["station"],
            boot_id=said["boot_id"],
            sequence=said["sequence"],
            camera=said["camera"],
            created=said["created"],
            verdict=said["verdict"],
            part_id=said["part_id"],
            replayed=int(said["replayed"] is True),
            body=body,
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnreadableError(f"not a verdict: {error!r}"[:500]) from None
    _check(found, place[2])
    return found


def _check(found: Verdict, station: str) -> None:
    texts = [found.result_id, found.station, found.boot_id, found.camera, found.created, found.verdict]
    if found.part_id is not None:
        texts.append(found.part_id)
    for text in texts:
        if not isinstance(text, str) or re.search("[\0\ud800-\udfff]", text):
            raise UnreadableError(f"not a text that databases hold: {text!r}"[:500])
    if type(found.sequence) is not int or not 1 <= found.sequence < 2**63:
        raise UnreadableError(f"sequence: {found.sequence!r}"[:500])
    if found.station != station:
        raise UnreadableError(f"station {found.station!r} on the topic of {station!r}")


def keep_crop(folder: Path, message: paho.MQTTMessage) -> None:
    """Write a crop as SHA256.jpg, as verdicts name it. Raises UnreadableError when it is damaged."""
    image = bytes(message.payload)
    digest = hashlib.sha256(image).hexdigest()
    promised = dict(getattr(message.properties, "UserProperty", ())).get("sha256", digest)
    if promised != digest:  # stations on MQTT 3.1.1 promise nothing here
        raise UnreadableError(f"sha256 is {digest}, not {promised}"[:500])
    path = folder / f"{digest}{PICTURES.get(image[:2], '.bin')}"
    if path.exists():
        return
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(image)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)  # the name, too
    os.close(handle)


def find_gaps(islands: Iterable[Island]) -> list[Gap]:
    """What is missing between islands of one source.

    Numbers go on over reboots. They begin again at 1 only when a station had to start its outbox afresh.
    What lies before the first verdict that ever came is not missed.
    """
    boots: dict[str, list[Island]] = defaultdict(list)
    for island in sorted(islands, key=lambda one: one.arrival):
        boots[island.boot_id].append(island)
    numberings: list[list[Island]] = []
    for boot in boots.values():
        if not numberings or _begins_anew(boot, numberings[-1]):
            numberings.append([])
        numberings[-1] += boot
    gaps = []
    for numbering in numberings:
        expected = 1 if numbering is not numberings[0] else min(island.first for island in numbering)
        for island in sorted(numbering, key=lambda one: one.first):
            if island.first > expected:
                current = numbering is numberings[-1]
                gaps.append(Gap(island.source, island.boot_id, expected, island.first - 1, current))
            expected = max(expected, island.last + 1)
    return gaps


def _begins_anew(boot: Sequence[Island], numbering: Sequence[Island]) -> bool:
    """Whether a boot's own numbers lie before all others or on them; replayed ones do not count."""
    live = [island for island in boot if not island.replayed]
    begin = min(island.first for island in numbering)
    taken = any(mine.first <= one.last and one.first <= mine.last for mine in live for one in numbering)
    return taken or any(island.first < begin for island in live)


class Database:
    """SQLite or PostgreSQL; every method is one transaction. Raises ConsumerError."""

    def __init__(self, url: str) -> None:
        self._name = url.rpartition("@")[2]  # without a password
        self._connection: Any
        self._error: type[Exception]
        if url.startswith("postgresql://"):
            try:
                psycopg = importlib.import_module("psycopg")
            except ImportError:
                raise ConsumerError("PostgreSQL needs psycopg: pip install 'psycopg[binary]'") from None
            self._error, self._mark = psycopg.Error, "%s"
            types = {"identity": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "bytes": "BYTEA"}
            self._connection = self._explained(lambda: psycopg.connect(url))
        elif url.startswith("sqlite:///"):
            self._error, self._mark = sqlite3.Error, "?"
            types = {"identity": "INTEGER PRIMARY KEY", "bytes": "BLOB"}
            self._connection = self._explained(
                lambda: sqlite3.connect(url.removeprefix("sqlite:///"), timeout=60)
            )
            self._explained(lambda: self._connection.execute("PRAGMA synchronous = FULL"))
        else:
            raise ConsumerError(f"--database {url}: give sqlite:///FILE or postgresql://USER@HOST/NAME")
        self._explained(lambda: self._create(types))

    def store(self, verdicts: Sequence[Verdict], unreadable: Sequence[tuple[str, str, bytes]]) -> int:
        """Commit a batch; how many of the verdicts are new."""
        return int(self._explained(lambda: self._insert(verdicts, unreadable)))

    def islands(self) -> list[Island]:
        return [Island(*columns) for columns in self._explained(lambda: self._select(ISLANDS))]

    def close(self) -> None:
        self._connection.close()

    def _create(self, types: dict[str, str]) -> None:
        cursor = self._connection.cursor()
        for table in TABLES:
            cursor.execute(table.format(**types))
        self._connection.commit()

    def _insert(self, verdicts: Sequence[Verdict], unreadable: Sequence[tuple[str, str, bytes]]) -> int:
        cursor, new = self._connection.cursor(), 0
        if verdicts:
            cursor.executemany(INSERT.replace("?", self._mark), verdicts)
            new = cursor.rowcount
        if unreadable:
            cursor.executemany(INSERT_UNREADABLE.replace("?", self._mark), unreadable)
        self._connection.commit()
        return int(new)

    def _select(self, query: str) -> list[Any]:
        cursor = self._connection.cursor()
        cursor.execute(query)
        return list(cursor.fetchall())

    def _explained(self, do: Callable[[], Any]) -> Any:
        try:
            return do()
        except self._error as error:
            raise ConsumerError(f"{self._name}: {error}") from error


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
