"""The board is bounded, exact under many writers, and encodes nothing that nobody asked for."""

from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest

from agent.clock import ManualClock, SystemClock
from agent.messages import VerdictName
from agent.page.shown import HOLD_S, Shown
from agent.status import board as board_module
from agent.status.board import LATENCIES, REJECTS, STRIP_FRAMES, Board
from tests.agent.status.samples import THRESHOLD, part, verdict


def new_board(clock: ManualClock | None = None) -> Board:
    return Board(station="cell3", version="0.1.0", clock=clock or ManualClock())


def reject(board: Board, number: int) -> None:
    seen = part(number, width=64, height=48)
    record = verdict(number, "fail", normalized=150, boxes=(seen.box,))
    board.judged(record, seen.image)
    board.rejected(
        record, image=seen.image, restored=seen.restored, evidence=seen.evidence, threshold=THRESHOLD
    )


def test_every_record_is_counted_under_its_verdict() -> None:
    board = new_board()
    names: list[VerdictName] = ["pass", "pass", "fail", "undecided", "skipped", "pass"]
    for number, name in enumerate(names):
        board.judged(verdict(number, name), None)
    assert board.snapshot().counts == {"pass": 3, "fail": 1, "undecided": 1, "skipped": 1}


def test_only_the_last_rejects_and_frames_are_kept_newest_first() -> None:
    board = new_board()
    for number in range(REJECTS + 7):
        reject(board, number)
    snapshot = board.snapshot()
    newest_first = list(range(REJECTS + 6, -1, -1))
    assert [one.verdict.frame.id for one in snapshot.rejects] == newest_first[:REJECTS]
    assert [one.verdict.frame.id for one in snapshot.cameras[0].strip] == newest_first[:STRIP_FRAMES]


def test_large_pictures_make_the_board_keep_fewer_and_never_none(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.zeros((100, 100), np.uint8)
    monkeypatch.setattr(board_module, "STRIP_BYTES", 35_000)
    monkeypatch.setattr(board_module, "REJECT_BYTES", 5_000)
    board = new_board()
    for number in range(9):
        record = verdict(number, "fail")
        board.judged(record, image)
        board.rejected(record, image=image, restored=None, evidence=None, threshold=THRESHOLD)
    strip = board.snapshot().cameras[0].strip
    assert [one.picture is not None for one in strip] == [True] * 3 + [False] * 6
    assert [one.is_let_go for one in strip] == [False] * 3 + [True] * 6
    assert [one.verdict.frame.id for one in board.snapshot().rejects] == [8]


def test_the_size_of_a_cameras_frames_is_that_of_those_that_were_decided() -> None:
    board = new_board()
    assert board.size_of("top") is None
    board.judged(verdict(0, "skipped", reason="overload", camera="top"), np.zeros((900, 900), np.uint8))
    assert board.size_of("top") is None, "what was skipped has a thumbnail"
    for number, shape in enumerate([(10, 40), (30, 20)], start=1):
        board.judged(verdict(number, camera="top"), np.zeros(shape, np.uint8))
    board.judged(verdict(3, camera="top"), None)
    assert board.size_of("top") == (40, 30)


def test_nothing_is_encoded_until_a_picture_is_asked_for_and_then_once() -> None:
    board = new_board()
    reject(board, 1)
    frame, kept = board.snapshot().cameras[0].strip[0], board.snapshot().rejects[0]
    assert frame.picture and kept.restored and kept.heat
    pictures = [frame.picture, kept.input, kept.restored, kept.heat]
    assert not any(picture.encoded for picture in pictures)
    first = kept.heat.jpeg()
    assert [picture.encoded for picture in pictures] == [False, False, False, True]
    assert kept.heat.jpeg() is first


def test_a_jpeg_shows_the_picture_it_was_given_and_large_ones_are_shrunk() -> None:
    board = new_board()
    colour = np.zeros((400, 1000, 3), np.uint8)
    colour[:, :, 0] = 200  # red in RGB
    board.judged(verdict(1), colour)
    picture = board.snapshot().cameras[0].strip[0].picture
    assert picture
    decoded = cv2.imdecode(np.frombuffer(picture.jpeg(), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert decoded is not None
    assert decoded.shape == (192, 480, 3)
    assert decoded[100, 100, 0] > 190
    assert decoded[100, 100, 2] < 20


def test_a_trigger_without_pixels_stands_in_the_strip_without_a_picture() -> None:
    board = new_board()
    board.judged(verdict(1, "skipped", reason="overload"), None)
    (frame,) = board.snapshot().cameras[0].strip
    assert frame.picture is None
    assert frame.verdict.reason == "overload"


def test_percentiles_are_nearest_rank_over_the_last_records_and_leave_skips_out() -> None:
    board = new_board()
    assert board.snapshot().infer.p50_ms is None
    for number in range(1000):
        board.judged(verdict(number, recorded_ms=float(number)), None)
    board.judged(verdict(1000, "skipped", recorded_ms=99_999.0), None)
    latency = board.snapshot().capture_to_recorded
    assert latency.count == LATENCIES
    kept = sorted(range(1000 - LATENCIES, 1000))
    assert latency.p50_ms == kept[255]
    assert latency.p99_ms == kept[506]


def test_a_state_is_as_old_as_its_last_change_whatever_its_detail() -> None:
    clock = ManualClock()
    board = new_board(clock)
    board.camera_state("top", "streaming")
    board.link_state("lost", "refused")
    clock.advance(7)
    board.camera_state("top", "lost", "no frame")
    board.link_state("lost", "timed out")
    clock.advance(5)
    snapshot = board.snapshot()
    assert snapshot.cameras[0].for_s == 5
    assert (snapshot.link.for_s, snapshot.link.detail) == (12, "timed out")


def test_writers_and_readers_in_many_threads_lose_nothing() -> None:
    board = Board(station="cell3", version="0.1.0", clock=SystemClock())
    image = np.zeros((8, 8), np.uint8)
    rounds, failures, done = 300, [], threading.Event()

    def write(camera: str) -> None:
        for number in range(rounds):
            board.judged(verdict(number, camera=camera), image)
            board.camera_state(camera, "streaming" if number % 2 else "lost")
            board.outbox_depth(rows=number, size_bytes=number, oldest_s=0.0)

    def read() -> None:
        while not done.is_set():
            snapshot = board.snapshot()
            if any(len(camera.strip) > STRIP_FRAMES for camera in snapshot.cameras):
                failures.append(snapshot)
            for camera in snapshot.cameras:
                for frame in camera.strip:
                    if frame.picture is not None:
                        frame.picture.jpeg()

    writers = [threading.Thread(target=write, args=(f"camera{n}",)) for n in range(4)]
    reader = threading.Thread(target=read)
    for thread in (*writers, reader):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert not failures
    assert board.snapshot().counts["pass"] == 4 * rounds
    assert all(camera.strip[0].verdict.frame.id == rounds - 1 for camera in board.snapshot().cameras)


def test_a_picture_a_page_was_told_of_can_be_fetched_after_the_board_has_moved_on() -> None:
    clock = ManualClock()
    board = new_board(clock)
    shown = Shown(board)
    reject(board, 1)
    shown.snapshot()
    for number in range(2, 2 + REJECTS + STRIP_FRAMES):
        reject(board, number)
    assert shown.snapshot().rejects[0].verdict.frame.id == 1, "pages share one snapshot for a while"
    clock.advance(HOLD_S)
    assert shown.snapshot().rejects[0].verdict.frame.id > 1
    assert shown.reject("0192-top-1") is not None
    assert shown.strip_frame("top", 1) is not None
    for _ in range(3):
        clock.advance(HOLD_S)
        shown.snapshot()
    assert shown.reject("0192-top-1") is None
    assert shown.strip_frame("top", 1) is None
    assert shown.strip_frame("side", 1) is None
