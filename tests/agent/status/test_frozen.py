"""A camera whose pictures are all the same is told once, by health and by an event, and so is its end."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agent.clock import ManualClock
from agent.contract.events import EventMaker
from agent.contract.row import Row
from agent.contract.topics import Topics
from agent.outbox.file import FullError
from agent.status.board import Board
from agent.status.frozen import FrozenCameras
from agent.status.health import assess
from agent.status.stillness import EQUAL, FOR_S, Stillness
from tests.agent.status.samples import streaming_board, verdict

SAME, OTHER = "ab" * 32, "cd" * 32


def judge(
    board: Board, clock: ManualClock, number: int, sha256: str | None, *, is_simulated: bool = False
) -> None:
    clock.advance(0.5)
    record = verdict(number)
    frame = record.frame.model_copy(update={"sha256": sha256})
    told = record.model_copy(update={"frame": frame, "is_simulated": is_simulated})
    board.judged(told, np.zeros((4, 4, 1), np.uint8))


class Told:
    """An outbox that is full when it is told to be."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.is_full = False

    def note(self, row: Row) -> None:
        if self.is_full:
            raise FullError("full")
        self.rows.append(row)

    def events(self) -> list[tuple[str, str]]:
        said = [json.loads(row.payload) for row in self.rows]
        return [(one["event"], one["severity"]) for one in said]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def board(clock: ManualClock) -> Board:
    return streaming_board(clock)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def frozen(told: Told, clock: ManualClock) -> FrozenCameras:
    topics = Topics(site="s", area="a", line="l", station="cell3")
    return FrozenCameras(EventMaker(topics, boot_id="boot", clock=clock, new_id=lambda: "id"), told.note)


def test_equal_pictures_degrade_the_station_and_are_told_once_until_they_differ(
    board: Board, clock: ManualClock, told: Told, frozen: FrozenCameras
) -> None:
    for number in range(EQUAL + 5):
        judge(board, clock, number, SAME)
        frozen.look(board.snapshot().cameras)
    assert told.events() == [("camera_frozen", "alarm")]
    health = assess(board.snapshot())
    assert health.state == "degraded"
    assert "Camera top gives the same picture again and again" in health.reasons[0]
    judge(board, clock, 99, OTHER)
    frozen.look(board.snapshot().cameras)
    assert told.events() == [("camera_frozen", "alarm"), ("camera_moves", "info")]
    assert assess(board.snapshot()).state == "running"


def test_files_that_are_shown_again_and_triggers_without_pixels_freeze_nothing(
    board: Board, clock: ManualClock
) -> None:
    for number in range(20):
        judge(board, clock, number, SAME, is_simulated=True)
    for number in range(20, 40):
        judge(board, clock, number, None)
    assert board.snapshot().cameras[0].frozen_s is None


def test_a_full_outbox_is_told_later(
    board: Board, clock: ManualClock, told: Told, frozen: FrozenCameras
) -> None:
    for number in range(EQUAL + 5):
        judge(board, clock, number, SAME)
    told.is_full = True
    frozen.look(board.snapshot().cameras)
    assert told.events() == []
    told.is_full = False
    frozen.look(board.snapshot().cameras)
    assert told.events() == [("camera_frozen", "alarm")]


def test_a_few_equal_pictures_or_many_within_a_moment_are_not_yet_a_frozen_camera() -> None:
    few, quick = Stillness(), Stillness()
    for number in range(EQUAL - 1):
        few.saw(SAME, number * 10**9)
    for number in range(100):
        quick.saw(SAME, round(number * FOR_S * 0.9e9 / 100))
    assert few.frozen_s() is None
    assert quick.frozen_s() is None
    few.saw(SAME, EQUAL * 10**9)
    assert few.frozen_s() == EQUAL
