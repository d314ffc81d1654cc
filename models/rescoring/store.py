"""The folder of a run: its plan, a Parquet file for each finished part, and what the report says.

    DIR/plan.parquet           every file that is judged, in order; written before any is
    DIR/rows/part-00000.parquet  a row for each file of a part; there when the part is finished, never before
    DIR/left_out.jsonl         files that are not judged again, and why
    DIR/report.json, report.md what would change

Each part names the plan that it is of: one of another run, or one that is damaged, is made again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agent.durable import replace_file, sync_folder
from agent.foreign import shown
from models.rescoring import plan as plans
from models.rescoring.faults import RescoreError, unwritable
from models.rescoring.plan import KEY, Plan
from models.rescoring.row import COLUMNS, Row, rows_of, table_of

PLAN, ROWS, LEFT_OUT, LOCK = "plan.parquet", "rows", "left_out.jsonl", "lock"
REPORTS = ("report.json", "report.md")
OURS = {PLAN, ROWS, LEFT_OUT, LOCK, *REPORTS}
_PART = re.compile(r"part-(\d{5,})\.parquet")


class Store:
    """Of one process at a time; made by `taken`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def plan(self) -> Plan | None:
        """The one that was begun here. Raises RescoreError for one that is damaged."""
        path = self.folder / PLAN
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            return plans.read(data)
        except ValueError as error:
            raise RescoreError(
                f"{shown(str(path))}: {error}; give a new folder with --out, or delete this one"
            ) from error

    def begin(self, data: bytes) -> Plan:
        """Keep this plan; then it can be gone on with. Raises RescoreError."""
        with self._explained(self.folder):
            (self.folder / ROWS).mkdir(exist_ok=True)
            replace_file(self.folder / PLAN, [data])
        return plans.read(data)

    def finished(self, plan: Plan) -> set[int]:
        """Numbers of the parts that are whole and of this plan; what else lies there is removed."""
        found = set()
        with self._explained(self.folder / ROWS):
            for path in (self.folder / ROWS).iterdir():
                named = _PART.fullmatch(path.name)
                if named is not None and _is_of(path, plan, int(named[1])):
                    found.add(int(named[1]))
                else:
                    path.unlink()
            sync_folder(self.folder / ROWS)
        return found

    def put(self, plan: Plan, number: int, rows: Iterable[Row]) -> None:
        """A finished part, whole and for good. Raises RescoreError; then it is not there."""
        told = {KEY: json.dumps(_name(plan, number)).encode()}
        out = pa.BufferOutputStream()
        table = table_of(rows).replace_schema_metadata(told)
        pq.write_table(table, out, compression="zstd", write_page_checksum=True)
        path = self._path(number)
        with self._explained(path):
            replace_file(path, [out.getvalue()])

    def rows(self, plan: Plan, parts: Sequence[int]) -> Iterator[Row]:
        """Of finished parts, in the order of their numbers. Raises RescoreError for a damaged one."""
        for number in sorted(parts):
            path = self._path(number)
            try:
                table = pq.read_table(path, page_checksum_verification=True, partitioning=None)
                yield from rows_of(table.replace_schema_metadata(None))
            except (pa.ArrowException, OSError, ValueError) as error:
                raise RescoreError(
                    f"{shown(str(path))}: is damaged ({shown(str(error))}); delete it and run the same"
                    " command"
                    " again: this part alone is made anew"
                ) from error

    def keep(self, name: str, pieces: Iterable[bytes]) -> None:
        """What is told at the end. Raises RescoreError."""
        with self._explained(self.folder / name):
            replace_file(self.folder / name, pieces)

    def _path(self, number: int) -> Path:
        return self.folder / ROWS / f"part-{number:05}.parquet"

    @contextmanager
    def _explained(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(path, error) from error


@contextmanager
def taken(folder: Path) -> Iterator[Store]:
    """The folder for this process alone; it is made where it is not there.

    Raises RescoreError for one that holds anything else, that cannot be written, or that another run has.
    """
    where = shown(str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if foreign := sorted(
            {path.name.removeprefix(".").removesuffix(".part") for path in folder.iterdir()} - OURS
        ):
            raise RescoreError(
                f"--out {where}: holds {shown(foreign[0])}, which is of no run; give a new or empty folder"
            )
        held = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield Store(folder)
    except BlockingIOError:
        raise RescoreError(
            f"--out {where}: another run is at it; wait for it, or give another folder"
        ) from None
    finally:
        os.close(held)


def _name(plan: Plan, number: int) -> dict[str, str | int]:
    return {"plan": plan.sha256, "part": number}


def _is_of(path: Path, plan: Plan, number: int) -> bool:
    try:
        schema = pq.read_schema(path)
        told = json.loads((schema.metadata or {}).get(KEY, b"null"))
    except (pa.ArrowException, OSError, ValueError):
        return False
    return bool(told == _name(plan, number) and schema.equals(COLUMNS))
