"""What is kept: verdicts in SQLite or PostgreSQL, pictures in a folder; and how a message becomes either."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as paho

from gaps import Island

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
