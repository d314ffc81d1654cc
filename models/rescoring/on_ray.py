"""A run on Ray Data: a part is a block, an actor has an engine; scheduling, retries, lost machines are Ray's.

The cluster's machines need this package and the archives at the same paths; the bundle goes to them with the
work, and rows come back to this process, which alone writes.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import ray
import ray.data
import ray.exceptions

from agent.bundle.bundle import Bundle
from agent.foreign import shown
from models.rescoring.again import open_judge, rows_of_part
from models.rescoring.faults import RescoreError
from models.rescoring.plan import Part
from models.rescoring.row import COLUMNS, rows_of, table_of
from models.rescoring.workers import Done

PART = "part"  # a column beside those of files and rows
LONGEST_WHY = 600
CONNECT_S = 10.0


class JudgeOnRay:
    """An actor: files of a part in, rows of it out."""

    def __init__(self, bundle: Bundle, folders: Sequence[str]) -> None:
        self._folders = folders
        self._judge = open_judge(bundle)  # an actor lives by what it has made here

    def __call__(self, files: pa.Table) -> pa.Table:
        number = files[PART][0]
        rows = table_of(rows_of_part(files.to_pylist(), self._folders, self._judge))
        return rows.append_column(PART, pa.repeat(number, len(rows)))


def by_ray(
    parts: Iterable[Part], folders: Sequence[str], bundle: Bundle, *, workers: int | None, address: str | None
) -> Iterator[Done]:
    """On the cluster at `address`, or where that is None as Ray finds it: RAY_ADDRESS, or one begun here.

    `workers` None takes every core of the cluster. Raises RescoreError with what Ray says.
    """
    begin(address)
    try:
        yield from _judged(list(parts), folders, bundle, workers or _cores())
    except ray.exceptions.RayError as error:
        raise RescoreError(f"Ray could not do it; finished parts stay: {_why(error)}") from error
    finally:
        ray.shutdown()


def begin(address: str | None) -> None:
    """Connect to a cluster. Raises RescoreError where there is none."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing here reports to a maker
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    _require_there(address or os.environ.get("RAY_ADDRESS", ""))
    try:
        ray.init(
            address=address,
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray raises bare ones
        raise _nowhere(address, error) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def _require_there(address: str) -> None:
    """Ray ends the process where nobody listens."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():  # `auto`, `local` and the like, which Ray knows
        return
    try:
        socket.create_connection((host.removeprefix("ray://"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise _nowhere(address, error) from error


def _nowhere(address: str | None, why: object) -> RescoreError:
    where = "here" if address is None else f"at {shown(address)}"
    return RescoreError(
        f"no Ray cluster {where}: {_why(why)}; begin one with `ray start --head`, of this version of Ray"
        " and Python"
    )


def _judged(parts: Sequence[Part], folders: Sequence[str], bundle: Bundle, workers: int) -> Iterator[Done]:
    expected = {part.number: len(part.files) for part in parts}
    blocks = [
        part.files.append_column(PART, pa.repeat(pa.scalar(part.number, pa.int32()), len(part.files)))
        for part in parts
    ]
    rows = ray.data.from_arrow(blocks).map_batches(
        JudgeOnRay,
        fn_constructor_args=(bundle, tuple(folders)),
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(parts))),
        num_cpus=1,
    )
    there: defaultdict[int, list[pa.Table]] = defaultdict(list)
    block: Any  # a table, as it is asked for
    for block in rows.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for number in block[PART].unique().to_pylist():  # blocks are Ray's to join and cut
            there[number].append(block.filter(pa.compute.equal(block[PART], number)).drop_columns([PART]))
            if sum(map(len, there[number])) == expected[number]:
                whole = pa.concat_tables(there.pop(number)).cast(COLUMNS)
                yield number, list(rows_of(whole.replace_schema_metadata(None)))


def _cores() -> int:
    there: dict[str, float] = ray.cluster_resources()
    return max(1, int(there.get("CPU", 1)))


def _why(error: Any) -> str:
    """The first cause that is told in the words of this project, else Ray's last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    ours = next((line for line in reversed(lines) if "RescoreError: " in line), None)
    words = lines[-1] if ours is None and lines else (ours or repr(error)).split("RescoreError: ", 1)[-1]
    return shown(words[:LONGEST_WHY])
