"""A station says running only when model, cameras and broker all work, and else says why in words."""

from __future__ import annotations

import pytest

from agent.cameras.life import Counts
from agent.clock import ManualClock
from agent.status.board import Board
from agent.status.health import assess, broker_words, camera_words, duration_words
from agent.status.snapshot import Serving


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def board(clock: ManualClock) -> Board:
    board = Board(
        station="cell3",
        version="0.1.0",
        clock=clock,
        serving=lambda: Serving(
            engine="openvino-bf16", bundle="cells-1", bundle_sha256="ab" * 32, threshold=0.03
        ),
    )
    board.camera_state("top", "streaming")
    board.link_state("connected")
    return board


def test_running_has_no_reason(board: Board) -> None:
    health = assess(board.snapshot())
    assert (health.state, health.reasons) == ("running", ())


def test_a_camera_that_has_delivered_all_its_frames_is_no_fault(board: Board) -> None:
    board.camera_state("top", "finished")
    assert assess(board.snapshot()).state == "running"


def test_a_lost_broker_degrades_and_says_since_when_and_what_waits(board: Board, clock: ManualClock) -> None:
    board.link_state("lost", "connection refused")
    board.outbox_depth(rows=34, size_bytes=9000, oldest_s=12.0)
    clock.advance(12)
    health = assess(board.snapshot())
    assert health.state == "degraded"
    assert health.reasons == (
        "Broker not reachable for 12 s (connection refused); 34 records wait in the outbox",
    )


def test_a_lost_camera_degrades_and_is_named(board: Board) -> None:
    board.camera_state("side", "lost", "no frame for 5 s; check its cable")
    health = assess(board.snapshot())
    assert health.state == "degraded"
    assert health.reasons == ("Camera side lost for 0 s: no frame for 5 s; check its cable",)
    assert health.causes == ("Camera side lost: no frame for 5 s; check its cable",)


def test_a_trouble_of_the_uplink_degrades_in_its_own_words(board: Board) -> None:
    board.trouble("uplink", ("The outbox is full",))
    assert assess(board.snapshot()).reasons == ("The outbox is full",)
    board.trouble("uplink", ())
    assert assess(board.snapshot()).state == "running"


def test_light_that_drifted_degrades_beside_troubles_of_the_uplink(board: Board) -> None:
    board.trouble("light", ("Light of camera top: brightness -20% since the start",))
    board.trouble("uplink", ("The outbox is full",))
    assert len(assess(board.snapshot()).reasons) == 2
    board.trouble("uplink", ())
    assert assess(board.snapshot()).reasons == ("Light of camera top: brightness -20% since the start",)
    board.trouble("light", ())
    assert assess(board.snapshot()).state == "running"


def test_a_station_is_starting_until_everything_has_reported() -> None:
    board = Board(station="cell3", version="0.1.0", clock=ManualClock())
    board.camera_state("top", "opening")
    health = assess(board.snapshot())
    assert health.state == "starting"
    assert health.reasons == (
        "No model is loaded yet",
        "Camera top is opening",
        "Connecting to the broker; nothing waits in the outbox",
    )


def test_one_waiting_record_is_not_called_records(board: Board) -> None:
    board.outbox_depth(rows=1, size_bytes=300, oldest_s=0.1)
    snapshot = board.snapshot()
    assert broker_words(snapshot.link, snapshot.outbox) == "Broker connected; 1 record waits in the outbox"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-0.1, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (11_100, "3 h 5 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


def test_a_camera_that_stalled_degrades_and_one_that_is_back_says_how_often(
    board: Board, clock: ManualClock
) -> None:
    board.camera_state("top", "stalled", "no frame for more than 1 s")
    clock.advance(3)
    assert assess(board.snapshot()).reasons == ("Camera top stalled for 3 s: no frame for more than 1 s",)
    board.camera_state("top", "streaming")
    board.camera_counts("top", counts(reconnects=2))
    assert assess(board.snapshot()).state == "running"
    assert camera_words(board.snapshot().cameras[0]) == "Camera top is streaming; reconnected 2 times"


def counts(*, reconnects: int) -> Counts:
    return Counts(
        streaming=True,
        epoch=reconnects,
        frames=1,
        reconnects=reconnects,
        stalls=0,
        losses=reconnects,
        lines_dropped=0,
        open_failures={},
        driver={},
    )
