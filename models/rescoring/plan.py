"""What a run judges, in which order, cut into parts: made once and kept, so that a run that was cut goes on.

Rows do not depend on who judges a part or when: an entry that lies in two archives is in one part with its
copies, and the first that is sound counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.rescoring.archives import File, Survey

SCHEMA_NAME = "plumbline.rescore-plan/1"
COLUMNS = pa.schema(
    [
        pa.field("kind", pa.dictionary(pa.int8(), pa.string())),
        pa.field("folder", pa.int32()),
        pa.field("name", pa.string()),
        pa.field("id", pa.string()),
    ]
)
KEY = b"plumbline"
SMALLEST, LARGEST, PARTS = 32, 1024, 512  # files of a part; parts, as long as these allow it


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Files that one worker judges at once."""

    number: int
    files: pa.Table


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every file of every archive, sorted by its id."""

    bundle: str  # name
    bundle_sha256: str
    named: tuple[str, ...]  # folders as they were given
    folders: tuple[str, ...]
    archives: int  # how many of the first of `folders` are archives
    files: pa.Table
    sha256: str  # of the plan's bytes: its identity

    def parts(self) -> Iterator[Part]:
        for number, (begin, end) in enumerate(cuts(self.files["id"])):
            yield Part(number=number, files=self.files.slice(begin, end - begin))


def made(survey: Survey, *, bundle: str, bundle_sha256: str, named: Sequence[str]) -> bytes:
    """A plan as it is kept."""
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS.names}
    for file in sorted(survey.files, key=_order):
        for name, value in zip(COLUMNS.names, (file.kind, file.folder, _text(file), file.id), strict=True):
            columns[name].append(value)
    told = {
        "schema": SCHEMA_NAME,
        "bundle": bundle,
        "bundle_sha256": bundle_sha256,
        "named": list(named),
        "folders": survey.folders,
        "archives": survey.archives,
    }
    table = pa.table(columns, schema=COLUMNS.with_metadata({KEY: json.dumps(told).encode()}))
    out = pa.BufferOutputStream()
    pq.write_table(table, out)
    return bytes(out.getvalue())


def read(data: bytes) -> Plan:
    """What `made` gave. Raises ValueError for anything else."""
    try:
        table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
        told = json.loads((table.schema.metadata or {})[KEY])
        if told.pop("schema") != SCHEMA_NAME:
            raise ValueError("it is of another version")
        told |= {name: tuple(told[name]) for name in ("named", "folders")}
        return Plan(**told, files=table.cast(COLUMNS), sha256=hashlib.sha256(data).hexdigest())
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise ValueError(f"it is no plan: {error}") from error


def cuts(ids: Sequence[Any]) -> list[tuple[int, int]]:
    """Where parts of these sorted ids begin and end: files of one id are never parted, empty ids are none."""
    found, begin, size = [], 0, size_of(len(ids))
    while begin < len(ids):
        end = min(begin + size, len(ids))
        while end < len(ids) and _word(ids[end]) and _word(ids[end]) == _word(ids[end - 1]):
            end += 1
        found.append((begin, end))
        begin = end
    return found


def size_of(files: int) -> int:
    """Of a part: small enough that little is lost by a kill, large enough that a long run has few files."""
    return min(LARGEST, max(SMALLEST, -(-files // PARTS)))


def _order(file: File) -> tuple[str, int, str]:
    return file.id, file.folder, file.name


def _text(file: File) -> str:
    """Names of entries are ASCII; of others, what UTF-8 can hold: they are never opened."""
    return file.name.encode(errors="replace").decode()


def _word(one: Any) -> str:
    return str(one)
