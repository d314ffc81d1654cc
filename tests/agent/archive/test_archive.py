"""Whoever hands a record over never waits; what is not kept is counted, and the folder is tried again."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from agent.archive import archive as rooms
from agent.archive import files
from agent.archive.archive import Archive
from agent.archive.blind import INDEX_BYTES
from agent.archive.record import Mark
from agent.archive.shelf import Shelf
from agent.clock import ManualClock
from agent.messages import Samples, VerdictName
from agent.settings.archive import Archive as Limits
from tests.agent.archive.records import (
    LIMITS,
    MORNING,
    RECIPE,
    evidence,
    frame,
    inspection,
    limits,
    picture,
    result_id,
    verdict,
)

DEADLINE_S = 20.0


@contextmanager
def running(
    folder: Path, wanted: Limits = LIMITS, *, clock: ManualClock | None = None, **more: Any
) -> Iterator[Archive]:
    clock = clock or ManualClock(MORNING)
    one = Archive(Shelf(folder, wanted, clock=clock), wanted, clock=clock, **more)
    one.start()
    try:
        yield one
    finally:
        one.stop()


@pytest.fixture(autouse=True)
def _tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(rooms, "LONGEST_RETRY_S", 0.02)


def hand_over(one: Archive, number: int, name: VerdictName = "fail", image: Samples | None = None) -> None:
    seen = frame(picture(seed=number) if image is None else image)
    one.offer(verdict(number, of=seen, name=name), seen, inspection(evidence()), RECIPE)


def wait_for(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < ends, "it never came true"
        time.sleep(0.005)


def test_records_are_kept_as_the_settings_want_them(tmp_path: Path) -> None:
    with running(tmp_path, limits(pass_share=0.0)) as one:
        for number, name in enumerate(("fail", "pass", "undecided", "skipped"), start=1):
            hand_over(one, number, name)  # type: ignore[arg-type]
        assert one.settle(DEADLINE_S)
        assert one.shelf.get(result_id(2)) is None
        assert np.array_equal(one.shelf.read(result_id(1)).frame.image, picture(seed=1))
        counts = one.counts()
    assert (counts.written, counts.entries, counts.evicted) == (2, 2, 0)
    assert not any(counts.dropped.values())
    assert counts.size_bytes >= sum(file.size for file in files.scan(tmp_path)) > 0
    assert one.words() == ()


@contextmanager
def a_disk_that_hangs(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Until the answer is set; it is set at the end."""
    goes_on, hangs = threading.Event(), threading.Event()
    real = files.put

    def put(*args: Any) -> files.File:
        hangs.set()
        goes_on.wait(DEADLINE_S)
        return real(*args)

    monkeypatch.setattr(files, "put", put)
    try:
        yield goes_on
    finally:
        goes_on.set()


def test_what_does_not_fit_the_queue_is_left_out_and_counted_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bytes_of_three = 3 * (picture().nbytes + evidence().nbytes)
    with a_disk_that_hangs(monkeypatch) as goes_on, running(tmp_path, waiting_bytes=bytes_of_three) as one:
        began = time.monotonic()
        for number in range(1, 101):
            hand_over(one, number)
        assert time.monotonic() - began < DEADLINE_S / 2  # never waits for the disk
        assert one.counts().dropped["queue"] >= 96
        goes_on.set()
        assert one.settle(DEADLINE_S)
        counts = one.counts()
        assert counts.written + counts.dropped["queue"] == 100
        assert counts.written in (3, 4)  # one may have been written to the hanging disk


def test_one_record_may_always_wait_however_large_it_is(tmp_path: Path) -> None:
    with running(tmp_path, waiting_bytes=1) as one:
        hand_over(one, 1)
        assert one.settle(DEADLINE_S)
        hand_over(one, 2)
        assert one.settle(DEADLINE_S)
        assert one.counts().written == 2


def test_what_is_no_picture_is_counted(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        hand_over(one, 1, "undecided", np.zeros((4, 4, 2), np.uint8))
        assert one.counts().dropped["frame"] == 1


def test_a_frame_that_cannot_be_encoded_harms_no_other(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        one.offer(
            verdict(1),
            frame(picture()),
            replace(inspection(evidence()), evidence=evidence()[:0]),
            RECIPE,
        )
        hand_over(one, 2)
        assert one.settle(DEADLINE_S)
        counts = one.counts()
        assert (counts.written, counts.dropped["frame"]) == (1, 1) and one.words() == ()


def test_what_waits_at_the_stop_is_written(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        for number in range(1, 31):
            hand_over(one, number)
    assert len(list(files.scan(tmp_path))) == 30
    hand_over(one, 31)
    assert one.counts().dropped["queue"] == 1


def test_a_stop_is_not_held_up_by_a_disk_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "DRAIN_S", 0.05)
    with a_disk_that_hangs(monkeypatch), running(tmp_path) as one:
        for number in (1, 2, 3):
            hand_over(one, number)
        began = time.monotonic()
        one.stop()
        assert time.monotonic() - began < DEADLINE_S / 2
        assert one.counts().dropped["queue"] >= 2


def test_a_folder_that_cannot_be_used_is_told_and_taken_again_once_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.write_text("in the way")
    size = 2 * (picture().nbytes + evidence().nbytes)
    with running(folder, waiting_bytes=size) as one:
        wait_for(one.words)
        assert one.words()[0].startswith(
            f"Archive takes no frames: {folder}: File exists; something else has"
        )
        for number in range(1, 11):
            hand_over(one, number)
        assert one.counts().dropped["folder"] == 8
        folder.unlink()
        assert one.settle(DEADLINE_S)
        assert one.words() == () and one.counts().written == 2  # those that waited


def test_a_disk_that_fills_up_is_told_until_it_takes_what_it_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_put, real_trial = files.put, files.take_room
    asked: list[int] = []

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    def trial(folder: Path, size: int) -> None:
        asked.append(size)
        full() if size else real_trial(folder, size)

    with running(tmp_path) as one:
        hand_over(one, 1)
        assert one.settle(DEADLINE_S)
        monkeypatch.setattr(files, "put", full)
        monkeypatch.setattr(files, "take_room", trial)
        with structlog.testing.capture_logs() as logs:
            hand_over(one, 2)
            wait_for(lambda: len(asked) > 3)
            (words,) = one.words()
            assert words.startswith(
                f"Archive takes no frames: {tmp_path}: No space left on device; free space"
            )
            assert one.counts().dropped["folder"] == 1
            monkeypatch.setattr(files, "put", real_put)
            monkeypatch.setattr(files, "take_room", real_trial)
            hand_over(one, 3)
            assert one.settle(DEADLINE_S)
        assert one.words() == () and one.counts().written == 2
        kept = one.shelf.get(result_id(3))
        assert kept is not None and asked[0] == max(kept.file.size, INDEX_BYTES)
        events = [log["event"] for log in logs]
        assert events.count("archive_failed") == 1 and events.count("archive_recovered") == 1


def test_a_folder_that_is_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    with running(folder) as one:
        hand_over(one, 1)
        assert one.settle(DEADLINE_S)
        shutil.rmtree(folder)
        hand_over(one, 2)
        assert one.settle(DEADLINE_S)
        hand_over(one, 3)
        wait_for(lambda: one.counts().written == 2)
        assert [file.id for file in files.scan(folder)] == [result_id(3)]
        assert one.words() == ()


def test_an_error_that_nobody_foresaw_stops_nothing_but_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:

        def surprise(*_: Any, **__: Any) -> None:
            raise RuntimeError("surprise")

        broken.setattr(Shelf, "open", surprise)
        one = Archive(Shelf(tmp_path, LIMITS, clock=ManualClock()), LIMITS, clock=ManualClock())
        one.start()
        wait_for(one.words)
        assert one.words() == ("Archive takes no frames: unexpected RuntimeError('surprise')",)
    hand_over(one, 1)
    assert one.settle(DEADLINE_S)
    assert one.words() == () and one.counts().written == 1
    one.stop()


def test_an_archive_full_of_marks_says_so_until_there_is_room(tmp_path: Path) -> None:
    clock = ManualClock(MORNING)
    with running(tmp_path) as one:
        hand_over(one, 1)
        assert one.settle(DEADLINE_S)
        one.shelf.mark(result_id(1), Mark(word="confirmed", by="Ada", at=MORNING))
    with running(tmp_path, limits(max_bytes=60_000), clock=clock) as one:
        large = picture((300, 300, 1))
        hand_over(one, 2, image=large)
        assert one.settle(DEADLINE_S)
        assert one.counts().dropped["room"] == 1
        assert "nothing is left in it that may go" in one.words()[0]
        hand_over(one, 3)
        assert one.settle(DEADLINE_S)
        assert one.words() == ()


def test_passes_that_rejects_leave_no_room_for_are_no_trouble(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        hand_over(one, 1)
    size = next(files.scan(tmp_path)).size
    index = (tmp_path / "plumbline-archive.sqlite3").stat().st_size
    with running(tmp_path, limits(max_bytes=index + size + 100)) as one:
        hand_over(one, 2, "pass")
        assert one.settle(DEADLINE_S)
        assert one.counts().dropped["room"] == 1 and one.words() == ()


def test_bounds_are_held_while_nothing_is_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "TIDY_EVERY_S", 0.01)
    clock = ManualClock(MORNING)
    with running(tmp_path, limits(days=1.0), clock=clock) as one:
        for number in (1, 2, 3):
            hand_over(one, number)
        wait_for(lambda: one.counts().written == 3)
        for _ in range(25):
            clock.advance(3600)
        wait_for(lambda: one.counts().entries == 0)
        assert one.counts().evicted == 3


def test_torn_and_foreign_files_are_told_until_they_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "TIDY_EVERY_S", 0.01)
    with running(tmp_path) as one:
        for number in (1, 2):
            hand_over(one, number)
    day = tmp_path / "2026-11-24"
    torn, foreign = (day / f"{result_id(number)}.png" for number in (1, 9))
    torn.write_bytes(torn.read_bytes()[:-5])
    foreign.write_bytes(b"theirs")
    clock = ManualClock(MORNING)
    with running(tmp_path, clock=clock) as one:
        wait_for(lambda: len(one.words()) == 2)
        assert one.words()[0].startswith(f"Archive: entries were cut short and lie in {tmp_path / 'torn'}; ")
        assert f"another version or program wrote {foreign}; archive.max_bytes" in one.words()[1]
        shutil.rmtree(tmp_path / "torn")
        foreign.unlink()
        clock.advance(1)
        wait_for(lambda: not one.words())


def test_drops_leave_a_word_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "TIDY_EVERY_S", 0.01)
    clock = ManualClock(MORNING)
    with structlog.testing.capture_logs() as logs, running(tmp_path, clock=clock) as one:
        hand_over(one, 1, "undecided", np.zeros((4, 4, 2), np.uint8))
        clock.advance(1)
        wait_for(lambda: [log for log in logs if log["event"] == "archive_dropped"])
        assert next(log for log in logs if log["event"] == "archive_dropped")["records"] == {"frame": 1}
