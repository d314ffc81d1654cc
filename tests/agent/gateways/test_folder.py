"""The folder has every record whole, on its day, whatever cut a delivery short."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import ManualClock
from agent.contract.row import Row
from agent.gateways.folder import FolderSink, append_lines, place
from agent.gateways.gateway import GatewayError, Unacceptable
from agent.settings.gateways import FolderGateway
from tests.agent.gateways.records import (
    JPEG,
    MORNING,
    FakeRecords,
    crop,
    event,
    gateway,
    later,
    part,
    result_id,
    verdict,
    waiting,
)

ROOT = Path(__file__).parents[3]
DAY = "2026-11-24"


def sink(path: Path, keep_days: int = 0, clock: ManualClock | None = None) -> FolderSink:
    return FolderSink(FolderGateway(path=path, keep_days=keep_days), clock or ManualClock(MORNING))


def deliver(one: FolderSink, *rows: Row) -> None:
    one.open()
    one.deliver(waiting(rows))
    one.close()


def files(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """The disk takes no file that is larger, as one that is full takes none at all."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_records_of_a_day_are_lines_and_pictures_under_its_date(tmp_path: Path) -> None:
    rows = [verdict(1), crop(1), event(1, ManualClock(MORNING)), verdict(2, created=later(1))]
    deliver(sink(tmp_path / "results"), *rows)
    results = tmp_path / "results"
    assert files(results) == [
        f"crops/{DAY}/{result_id(1)}-c1.jpg",
        f"events-{DAY}.jsonl",
        f"verdicts-{DAY}.jsonl",
        "verdicts-2026-11-25.jsonl",
    ]
    assert (results / f"verdicts-{DAY}.jsonl").read_bytes() == rows[0].payload + b"\n"
    assert (results / f"events-{DAY}.jsonl").read_bytes() == rows[2].payload + b"\n"
    assert (results / f"crops/{DAY}/{result_id(1)}-c1.jpg").read_bytes() == JPEG


def test_a_png_is_called_one(tmp_path: Path) -> None:
    deliver(sink(tmp_path), crop(1, content_type="image/png"))
    assert files(tmp_path) == [f"crops/{DAY}/{result_id(1)}-c1.png"]


def test_deliveries_add_to_the_days_file(tmp_path: Path) -> None:
    one = sink(tmp_path)
    for number in range(1, 4):
        deliver(one, verdict(number))
    lines = (tmp_path / f"verdicts-{DAY}.jsonl").read_text().splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == [1, 2, 3]


def test_part_verdicts_have_a_file_of_their_own(tmp_path: Path) -> None:
    one = part(1)
    deliver(sink(tmp_path), one, verdict(1), part(2))
    lines = (tmp_path / "parts-2026-11-24.jsonl").read_bytes().splitlines()
    assert (lines[0], len(lines)) == (one.payload, 2)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (crop(1, of="../../etc/passwd"), "'../../etc/passwd' cannot stand in a file name"),
        (crop(1, crop_id="a/b"), "'a/b' cannot stand in a file name"),
        (crop(1, crop_id=""), "'' cannot stand in a file name"),
        (crop(1, crop_id="x" * 65), "cannot stand in a file name"),
        (crop(1, crop_id="a\n"), "cannot stand in a file name"),
        (crop(1, content_type="text/html"), "its content type is 'text/html'"),
        (
            Row(id="x", kind="event", topic="t", payload=b"{}", content_type="", properties=()),
            "its time is None, not a date and time",
        ),
        (
            Row(
                id="x",
                kind="event",
                topic="t",
                payload=b"{\n}",
                content_type="",
                properties=(("time", "2026-11-24T00:00:00Z"),),
            ),
            "there is a line end in it",
        ),
        (
            Row(
                id="x",
                kind="event",
                topic="t",
                payload=b"{}",
                content_type="",
                properties=(("time", "../../11-24T"),),
            ),
            "not a date and time",
        ),
    ],
)
def test_a_record_without_a_place_is_unacceptable_and_those_before_it_are_kept(
    tmp_path: Path, row: Row, words: str
) -> None:
    with pytest.raises(Unacceptable) as caught:
        deliver(sink(tmp_path), verdict(1), row, verdict(2))
    assert caught.value.seq == 2 and words in caught.value.reason
    (line,) = (tmp_path / f"verdicts-{DAY}.jsonl").read_text().splitlines()
    assert json.loads(line)["sequence"] == 1
    assert files(tmp_path) == [f"verdicts-{DAY}.jsonl"]


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=30))
def test_no_property_leads_out_of_the_folder(result: str, crop_id: str, time_: str) -> None:
    row = crop(1)
    forged = {"result_id": result, "crop_id": crop_id, "time": time_}
    properties = tuple((name, forged.get(name, value)) for name, value in row.properties)
    try:
        there = place(
            Row(id="x", kind="crop", topic="t", payload=b"", content_type="image/jpeg", properties=properties)
        )
    except ValueError:
        return
    assert ".." not in there.file.parts and not there.file.is_absolute() and len(there.file.parts) == 3


def test_a_line_that_was_cut_off_is_replaced_by_the_whole_one(tmp_path: Path) -> None:
    path = tmp_path / f"verdicts-{DAY}.jsonl"
    one = sink(tmp_path)
    deliver(one, verdict(1))
    whole = path.read_bytes()
    path.write_bytes(whole + verdict(2).payload[:100])
    deliver(one, verdict(2))
    assert path.read_bytes() == whole + verdict(2).payload + b"\n"


@given(before=st.lists(st.integers(0, 200_000), max_size=3), torn=st.integers(0, 200_000))
def test_any_torn_end_is_removed(
    tmp_path_factory: pytest.TempPathFactory, before: list[int], torn: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "file.jsonl"
    whole = b"".join(b"x" * length + b"\n" for length in before)
    path.write_bytes(whole + b"t" * torn)
    append_lines(path, [b"new"])
    assert path.read_bytes() == whole + b"new\n"


def test_a_full_disk_is_a_failure_with_a_remedy_and_later_it_goes_on(tmp_path: Path) -> None:
    rows = [verdict(number) for number in range(1, 31)] + [crop(30)]
    records = FakeRecords(rows)
    clock = ManualClock(MORNING)
    one = gateway(records, sink(tmp_path, clock=clock), clock=clock)
    path = tmp_path / f"verdicts-{DAY}.jsonl"
    with largest_file(5000):
        one.step()
        one.step()
    assert records.cursor == 0
    assert one.state.failing is not None
    assert one.state.failing.endswith(
        "File too large; free space on that disk, check its quota and its mount, or change path"
    )
    assert path.stat().st_size == 5000  # cut off within a line
    while one.step():
        pass
    assert one.state.failing is None and records.cursor == 31
    found = [json.loads(line)["sequence"] for line in path.read_text().splitlines()]
    assert list(dict.fromkeys(found)) == list(range(1, 31))


def test_a_picture_that_does_not_fit_leaves_none_under_its_name(tmp_path: Path) -> None:
    with largest_file(len(JPEG) - 1), pytest.raises(GatewayError, match="File too large"):
        deliver(sink(tmp_path), crop(1))
    assert not list(tmp_path.rglob("*.jpg"))
    deliver(sink(tmp_path), crop(1))
    assert files(tmp_path) == [f"crops/{DAY}/{result_id(1)}-c1.jpg"]


def test_something_else_in_the_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(
        GatewayError, match=r"results: File exists; something else has this name; move it away"
    ):
        sink(tmp_path / "results").open()


def test_days_that_are_over_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    clock = ManualClock(MORNING)
    one = sink(tmp_path, keep_days=2, clock=clock)
    for day in range(5):
        deliver(one, verdict(day + 1, created=later(day)), crop(day + 1, created=later(day)))
        clock.advance(86_400)
    (tmp_path / "notes-2020-01-01.jsonl").write_text("mine")
    (tmp_path / "crops" / "best").mkdir()
    deliver(one)
    kept = ["2026-11-27", "2026-11-28"]
    assert sorted(file.name for file in tmp_path.glob("verdicts-*")) == [
        f"verdicts-{day}.jsonl" for day in kept
    ]
    assert sorted(file.name for file in tmp_path.glob("crops/*")) == [*kept, "best"]
    assert (tmp_path / "notes-2020-01-01.jsonl").exists()


@pytest.mark.parametrize("step_days", [-20_000, -30, 30, 3650])
def test_a_clock_that_steps_deletes_no_day(tmp_path: Path, step_days: int) -> None:
    class Wall(ManualClock):
        step = timedelta(0)

        def utc_now(self) -> datetime:
            return super().utc_now() + self.step

    clock = Wall(MORNING)
    one = sink(tmp_path, keep_days=2, clock=clock)
    deliver(one, verdict(1), crop(1))
    before = files(tmp_path)
    for hours in range(1, 20):
        clock.step = timedelta(days=step_days if hours % 4 else 0)
        clock.advance(3600)
        deliver(one)
    assert files(tmp_path) == before
    clock.step = timedelta(days=30)
    for _ in range(3):  # it stays so, and is believed
        clock.advance(86_400)
        deliver(one)
    assert files(tmp_path) == []


def test_a_folder_that_vanishes_with_its_disk_is_not_made_anew_by_a_delivery(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    one = sink(tmp_path / "disk" / "results")
    one.open()
    shutil.rmtree(tmp_path / "disk")
    with pytest.raises(GatewayError):
        sink(tmp_path / "disk" / "results").open()
    with pytest.raises(GatewayError, match="check its quota and its mount"):
        one.deliver(waiting([verdict(1)]))
    assert not (tmp_path / "disk").exists()


def test_without_keep_days_nothing_is_deleted(tmp_path: Path) -> None:
    clock = ManualClock(later(5000))
    deliver(sink(tmp_path, clock=clock), verdict(1))
    assert files(tmp_path) == [f"verdicts-{DAY}.jsonl"]


@pytest.mark.slow
def test_a_process_killed_at_any_moment_leaves_at_most_one_torn_line(tmp_path: Path) -> None:
    program = f"""
import itertools
from pathlib import Path
from tests.agent.gateways.records import verdict, waiting, crop
from tests.agent.gateways.test_folder import sink
one = sink(Path({str(tmp_path)!r}))
one.open()
for first in itertools.count(1, 10):
    one.deliver(waiting([verdict(number) for number in range(first, first + 10)] + [crop(first)]))
    print(first + 9, flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, env=os.environ
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    announced = [int(line) for line in process.communicate()[0].split()]
    content = (tmp_path / f"verdicts-{DAY}.jsonl").read_bytes()
    *whole, _ = content.split(b"\n")
    found = [json.loads(line)["sequence"] for line in whole]
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= max(announced, default=10)
    assert all(file.read_bytes() == JPEG for file in tmp_path.rglob("*.jpg"))
    deliver(sink(tmp_path), verdict(len(found) + 1))
    assert (
        b"\n" + verdict(len(found) + 1).payload + b"\n" in (tmp_path / f"verdicts-{DAY}.jsonl").read_bytes()
    )
