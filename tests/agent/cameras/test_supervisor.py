"""A camera may die, freeze or hang in any call: the ring stays exact, nothing grows, it is back in 3 s."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from agent.cameras import supervisor
from agent.cameras.anew import Anew
from agent.cameras.camera import CameraInUse, CameraMisconfigured
from agent.cameras.life import Patience, Pauses
from agent.cameras.supervisor import MAX_HANGING
from agent.messages import Frame, FrameFault
from agent.settings.camera import Camera
from agent.track.track import make_track
from tests.agent.cameras.scripted import GONE, PATIENCE_S, Plant, eventually
from tests.agent.cameras.watched import Watched, watched_camera
from tests.lived import living

QUICK = Pauses(first_s=0.002, longest_s=0.004, mistake_s=0.05)
SHORT = Patience(open_s=0.1, first_frame_s=0.15, silence_s=0.15)


def watched(plant: Plant, patience: Patience = SHORT, pauses: Pauses = QUICK) -> Watched:
    one = watched_camera(plant.connect, patience, pauses)
    one.let_go = plant.let_go
    return one


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    eventually(lambda: set(threading.enumerate()) <= before, "all threads of the test have ended")


def assert_exact(watched: Watched) -> None:
    """Every frame that a live connection gave is there once, numbered on, with the epoch it came from."""
    frames = [item for item in watched.items if isinstance(item, Frame)]
    assert [frame.frame_id for frame in frames] == list(range(len(frames)))
    epochs = [frame.epoch for frame in frames]
    assert epochs == sorted(epochs)
    counts = watched.supervisor.counts()
    assert counts.frames == len(watched.items)
    assert counts.epoch == counts.reconnects
    assert not epochs or epochs[-1] <= counts.epoch


def test_a_camera_that_was_killed_is_opened_anew_and_its_frames_bear_the_next_epoch() -> None:
    plant = Plant()
    with watched(plant) as one:
        one.frames_reach(5)
        plant.error = GONE
        eventually(lambda: ("lost", str(GONE)) in one.said, "the loss is told")
        eventually(lambda: len(plant.connections) >= 4, "it is tried again and again")
        plant.error = None
        one.frames_go_on()
    assert one.states() == ["opening", "streaming", "lost", "streaming"]
    assert {item.epoch for item in one.items if isinstance(item, Frame)} == {0, 1}
    assert all(connection.state != "open" for connection in plant.connections)
    counts = one.supervisor.counts()
    assert (counts.losses, counts.stalls, counts.reconnects) == (1, 0, 1)
    assert counts.open_failures["absent"] >= 2
    assert_exact(one)


def test_a_camera_that_is_absent_at_the_start_is_waited_for() -> None:
    plant = Plant(error=GONE)
    with watched(plant) as one:
        eventually(lambda: len(plant.connections) > 10, "it is tried many times")
        assert one.said == [("opening", ""), ("lost", str(GONE))]
        plant.error = None
        one.frames_go_on()
    assert one.supervisor.counts().epoch == 0
    assert_exact(one)


def test_a_frozen_camera_stalls_and_is_opened_anew() -> None:
    plant = Plant()
    with watched(plant) as one:
        one.frames_reach(5)
        plant.frozen = True
        eventually(lambda: "stalled" in one.states(), "the stall is told")
        plant.frozen = False
        one.frames_go_on()
    counts = one.supervisor.counts()
    assert counts.stalls >= 1 and counts.losses == 0
    assert_exact(one)


@pytest.mark.parametrize("where", ["grab", "close", "open"])
def test_a_driver_that_hangs_holds_nobody_up_and_what_it_says_later_is_not_heard(where: str) -> None:
    plant = Plant()
    with watched(plant) as one:
        one.frames_reach(5)
        plant.hang_in = where
        if where != "grab":
            plant.error = GONE
        eventually(lambda: one.states()[-1] in ("stalled", "lost"), "it is given up")
        if where == "open":
            eventually(lambda: one.supervisor.counts().open_failures.get("absent", 0) > 0, "open is bounded")
        plant.hang_in = plant.error = None
        one.frames_go_on()
        hung = plant.hanging  # a machine that is slow lets another one hang before it is told
        assert hung >= 1
        plant.let_go.set()
        one.frames_go_on()
        if where == "grab":
            eventually(lambda: one.supervisor.counts().late == hung, "what each says later is counted")
    assert_exact(one)


def test_what_a_driver_counts_begins_at_zero_when_it_is_open() -> None:
    with watched(Plant(frozen=True)) as one:
        eventually(lambda: one.supervisor.counts().driver == {"resent_packets": 0}, "it is asked at once")


def test_drivers_that_hang_for_ever_cost_a_bounded_number_of_threads() -> None:
    plant = Plant(hang_in="open")
    with watched(plant) as one:
        eventually(lambda: "restart the agent" in "".join(why for _, why in one.said), "the limit is told")
        time.sleep(0.1)
        assert len(plant.connections) == MAX_HANGING
        plant.hang_in = None
        plant.let_go.set()
        one.frames_go_on()
    assert_exact(one)


def test_a_camera_in_use_is_waited_for_and_is_no_mistake_in_the_settings() -> None:
    plant = Plant(error=CameraInUse("scripted: in use by another client; wait for its heartbeat"))
    with watched(plant) as one:
        eventually(lambda: one.supervisor.counts().open_failures.get("in_use", 0) >= 3, "it is tried")
        plant.error = None
        one.frames_go_on()
    assert set(one.supervisor.counts().open_failures) == {"in_use"}


def test_a_mistake_in_the_settings_is_named_and_ends_nothing() -> None:
    plant = Plant(error=CameraMisconfigured("camera top: feature Gian: is unknown; see its features"))
    with watched(plant) as one:
        eventually(lambda: one.supervisor.counts().open_failures.get("settings", 0) >= 2, "it is tried")
        plant.error = None
        one.frames_go_on()
    assert ("lost", "camera top: feature Gian: is unknown; see its features") in one.said
    assert one.failure is None


def test_a_camera_that_is_disabled_is_closed_and_not_opened_until_it_is_enabled() -> None:
    plant, why = Plant(), ["lens"]
    with watched_camera(plant.connect, SHORT, QUICK, why_disabled=lambda: why[0] if why else None) as one:
        eventually(lambda: one.said == [("disabled", "lens")], "it says so")
        looks = one.supervisor.looks
        eventually(lambda: one.supervisor.looks > looks + 2, "it looks on")
        assert not plant.connections and one.supervisor.looks < looks + 100
        why.clear()
        one.frames_go_on()
        why.append("cable")
        one.reaches("disabled")
        eventually(lambda: all(one.state != "open" for one in plant.connections), "it is closed")
        before, opened = len(one.items), len(plant.connections)
        why.clear()
        eventually(lambda: len(one.items) >= before + 3, "it goes on")
        assert len(plant.connections) == opened + 1
    assert one.states() == ["disabled", "opening", "streaming", "disabled", "opening", "streaming"]
    counts = one.supervisor.counts()
    assert (counts.losses, counts.stalls, counts.epoch) == (0, 0, 1)
    assert_exact(one)


def test_a_bug_in_a_driver_is_raised_and_not_hidden() -> None:
    plant = Plant()
    with watched(plant) as one:
        one.frames_reach(3)
        plant.error = ZeroDivisionError("scripted")
        eventually(lambda: one.failure is not None, "it is raised")
    assert isinstance(one.failure, ZeroDivisionError)


def test_a_hundred_losses_leave_exact_counts_and_nothing_behind() -> None:
    plant = Plant(period_s=0.001)
    with watched(plant) as one:
        for round_number in range(100):
            one.frames_reach(len(one.items) + 2)
            if round_number == 10:
                threads = threading.active_count()
            plant.error = GONE
            eventually(lambda: one.states()[-1] == "lost", "the loss is told")
            plant.error = None
            eventually(lambda: one.states()[-1] == "streaming", "it is back")
        eventually(lambda: threading.active_count() <= threads, "no thread is left of the hundred")
    counts = one.supervisor.counts()
    assert (counts.reconnects, counts.losses, counts.stalls, counts.epoch) == (100, 100, 0, 100)
    given = sum(connection.frames for connection in plant.connections)
    assert counts.frames in (given - 1, given)  # the last one may have been grabbed after the stop
    ended = given - plant.connections[-1].frames  # the last one was not asked any more
    assert 2 * ended <= counts.driver["resent_packets"] <= 2 * given
    assert_exact(one)


@pytest.mark.slow
def test_a_camera_is_back_within_three_seconds_of_its_return() -> None:
    plant = Plant()
    with watched(plant, Patience(), Pauses()) as one:
        one.frames_reach(5)
        plant.error = GONE
        eventually(lambda: len(plant.connections) >= 5, "the pauses have grown")
        with living() as away:
            plant.error = None
            one.frames_go_on()
    assert away.seconds < 3.0


def test_a_stop_does_not_wait_for_a_driver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.cameras.supervisor.LEAVE_S", 0.1)
    plant = Plant(hang_in="grab")
    with watched(plant, Patience()) as one:
        eventually(lambda: plant.hanging == 1, "it hangs")
        with living() as stopping:
            one.stop.set()
            eventually(one.capture.is_finished, "it has stopped")
        assert plant.hanging == 1 and stopping.seconds < 3.0


def test_who_asks_for_counts_is_not_held_up_by_a_ring_that_takes_nothing() -> None:
    plant = Plant()
    with watched(plant) as one:
        one.frames_reach(3)
        refused, taking, before = threading.Event(), threading.Event(), one.supervisor.counts()
        put = one.capture.put

        def put_when_taking(item: Frame | FrameFault, timeout_s: float | None = None) -> bool:
            if taking.wait(0.01):
                return put(item, timeout_s)
            refused.set()
            return False

        one.capture.put = put_when_taking  # type: ignore[method-assign]
        eventually(refused.is_set, "the ring takes nothing")
        counts = one.supervisor.counts()  # never comes back if it waits for the ring
        assert counts.frames >= before.frames >= 3
        taking.set()
        one.frames_go_on()
    assert one.supervisor.counts().stalls == 0
    assert_exact(one)


def anew_by(plant: Plant, patience: Patience = SHORT) -> Anew:
    return Anew(make=plant.connect, make_track=lambda: make_track(Camera()), patience=patience)


def test_other_settings_open_it_anew_and_it_numbers_on() -> None:
    plant, other = Plant(), Plant()
    with watched(plant) as one:
        one.frames_reach(5)
        anew = anew_by(other)
        one.supervisor.open_anew(anew)
        assert anew.let_go.wait(PATIENCE_S)
        one.frames_go_on()
        eventually(lambda: len(other.connections) == 1, "the other one is opened")
        eventually(lambda: other.connections[0].frames > 3, "and gives frames")
        assert plant.connections[0].state == "closed"
    frames = [item for item in one.items if isinstance(item, Frame)]
    assert all((frame.captured_ns >= anew.let_go_ns) == (frame.epoch == 1) for frame in frames)
    assert one.states() == ["opening", "streaming", "closed", "opening", "streaming"]
    counts = one.supervisor.counts()
    assert (counts.losses, counts.stalls, counts.reconnects) == (0, 0, 1)
    assert_exact(one)


@pytest.mark.parametrize("where", ["grab", "close", "open"])
def test_a_driver_that_hangs_does_not_keep_other_settings_away(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LEAVE_S", 0.2)
    plant, other = Plant(hang_in=where if where == "open" else None), Plant()
    with watched(plant, Patience(open_s=60, silence_s=60)) as one:
        if where == "open":
            eventually(lambda: plant.hanging == 1, "it hangs")
        else:
            one.frames_reach(5)
            plant.hang_in = where
        one.supervisor.open_anew(anew_by(other))
        eventually(lambda: any(each.frames > 3 for each in other.connections), "the other one gives frames")
        plant.let_go.set()
        one.frames_go_on()
    assert len(other.connections) == 1
    assert_exact(one)


def test_other_settings_end_a_pause_after_a_mistake_and_wait_for_a_camera_that_people_closed() -> None:
    mistake = CameraMisconfigured("camera top: feature Gian: is unknown; see its features")
    plant, other, third = Plant(error=mistake), Plant(), Plant()
    why: list[str | None] = [None]
    one = watched_camera(
        plant.connect, SHORT, Pauses(first_s=60, longest_s=60, mistake_s=60), why_disabled=lambda: why[0]
    )
    with one:
        one.reaches("lost")
        one.supervisor.open_anew(anew_by(other))
        one.frames_reach(5)
        why[0] = "switched off"
        one.reaches("disabled")
        one.supervisor.open_anew(anew_by(third))
        one.supervisor.open_anew(anew_by(third))
        time.sleep(0.2)
        assert not third.connections and one.states()[-1] == "disabled"
        why[0] = None
        one.frames_go_on()
        eventually(lambda: len(third.connections) == 1, "the last settings are those that count")
    assert_exact(one)
