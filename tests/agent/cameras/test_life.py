"""The rules of a camera's life hold for every order of events: bounded waits, exact counts, for ever."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.life import HANG_S, Life, OpenFailure, Patience, Pauses

SECOND = 1_000_000_000


def life(patience: Patience | None = None, **pauses: float) -> Life:
    return Life(patience or Patience(), random.Random(7), Pauses(**pauses) if pauses else None)


def opened(patience: Patience | None = None) -> Life:
    one = life(patience)
    assert one.look(0) == "open"
    one.opened(0)
    return one


def streaming(period_s: float, frames: int, patience: Patience | None = None) -> tuple[Life, int]:
    """A camera with that many frames, and the moment of the last one."""
    one, now_ns = opened(patience), 0
    for _ in range(frames):
        now_ns += round(period_s * SECOND)
        assert one.look(now_ns) is None
        one.received(now_ns)
        one.free(now_ns)
    return one, now_ns


def given_up_after_s(one: Life, now_ns: int) -> float:
    """Seconds of silence, in hundredths, until the camera is given up."""
    for hundredths in range(100_000):
        one.quiet(now_ns + hundredths * SECOND // 100)
        if one.look(now_ns + hundredths * SECOND // 100) == "abandon":
            return hundredths / 100
    return math.inf


def test_a_camera_is_opened_at_once_and_streams_when_it_is_open() -> None:
    one = life()
    assert one.told.state == "closed"
    assert one.look(5) == "open" and one.told.state == "opening"
    one.opened(6)
    assert (one.told.state, one.epoch, one.reconnects) == ("streaming", 0, 0)


@pytest.mark.parametrize(
    ("period_s", "frames", "limit_s"),
    [(0.02, 20, 1.0), (0.3, 20, 1.0), (0.5, 20, 1.5), (2.0, 20, 6.0), (0.02, 0, 5.0), (0.02, 1, 5.0)],
)
def test_silence_is_borne_for_a_second_or_three_periods(period_s: float, frames: int, limit_s: float) -> None:
    one, now_ns = streaming(period_s, frames)
    assert given_up_after_s(one, now_ns) == pytest.approx(limit_s, abs=0.02)
    assert (one.told.state, one.stalls) == ("stalled", 1)
    assert "no frame for more than" in one.told.detail


def test_a_belt_that_slows_down_is_not_taken_for_a_stall() -> None:
    one, now_ns, period_s = opened(), 0, 0.1
    for _ in range(30):
        now_ns += round(period_s * SECOND)
        one.quiet(now_ns)
        assert one.look(now_ns) is None
        one.received(now_ns)
        one.free(now_ns)
        period_s *= 1.5 if period_s < 600 else 1.0


def test_a_time_that_was_set_is_taken_in_place_of_what_was_learned() -> None:
    one, now_ns = streaming(0.02, 20, Patience(silence_s=4.0))
    assert given_up_after_s(one, now_ns) == pytest.approx(4.0, abs=0.02)


def test_where_silence_is_normal_only_a_driver_that_hangs_is_given_up() -> None:
    one = opened(Patience(silence_s=math.inf))
    assert given_up_after_s(one, 0) == math.inf
    last_ns = 99_999 * SECOND // 100
    assert one.look(last_ns + round(HANG_S * SECOND)) is None
    assert one.look(last_ns + round((HANG_S + 0.1) * SECOND)) == "abandon"
    assert "hung" in one.told.detail


def test_a_line_that_was_busy_is_no_silence_of_the_camera() -> None:
    one, now_ns = streaming(0.02, 20)
    one.received(now_ns)
    one.free(now_ns + 60 * SECOND)
    assert one.look(now_ns + 60 * SECOND + SECOND // 2) is None


def test_an_open_that_hangs_is_given_up_and_tried_again() -> None:
    one = life(Patience(open_s=3.0))
    assert one.look(0) == "open"
    assert one.look(3 * SECOND) is None
    assert one.look(3 * SECOND + 1) == "abandon"
    assert (one.told.state, dict(one.open_failures)) == ("lost", {"absent": 1})
    assert one.look(6 * SECOND) == "open"


def test_pauses_double_up_to_one_and_a_half_seconds_and_begin_anew_after_a_frame() -> None:
    one, now_ns, pauses_s = life(), 0, []
    for _ in range(200):
        assert one.look(now_ns) == "open"
        one.failed(now_ns, "absent", "gone")
        pauses_s.append(one.rest_s(now_ns))
        now_ns += round(pauses_s[-1] * SECOND)
    assert 0.25 <= pauses_s[0] <= 0.5 <= pauses_s[1] <= 1.0
    assert all(0.75 <= pause_s <= 1.5 for pause_s in pauses_s[2:])
    assert len(set(pauses_s)) > 190, "stations that lost one switch together must not come back together"
    assert one.look(now_ns) == "open"
    one.opened(now_ns)
    one.received(now_ns)
    one.failed(now_ns, "absent", "gone")
    assert one.rest_s(now_ns) <= 0.5


def test_a_mistake_in_the_settings_is_tried_again_slowly_and_named() -> None:
    one = life()
    one.look(0)
    one.failed(0, "settings", "no such feature: Gian")
    assert one.rest_s(0) == 10.0
    assert (one.told.state, one.told.detail) == ("lost", "no such feature: Gian")


def test_a_camera_that_opens_again_but_stays_dark_is_not_said_to_stream() -> None:
    one, now_ns = streaming(0.02, 20)
    one.failed(now_ns, "absent", "gone")
    now_ns += SECOND
    assert one.look(now_ns) == "open" and one.told.state == "lost"
    one.opened(now_ns)
    assert one.told.state == "lost"
    one.received(now_ns)
    assert (one.told.state, one.reconnects, one.losses) == ("streaming", 1, 1)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["look", "succeed", "frame", "quiet", "absent", "in_use", "settings", "long"]),
        st.integers(0, 4 * SECOND),
    ),
    max_size=120,
)


@given(EVENTS)
def test_whatever_happens_a_camera_is_tried_again_and_every_event_is_counted_once(
    events: list[tuple[OpenFailure, int]],
) -> None:
    one, now_ns, phase = life(), 0, "waiting"
    opens = ends = opening_failures = frames = 0
    for event, passed_ns in events:
        now_ns += passed_ns if event != "long" else 40 * SECOND
        step = one.look(now_ns)
        assert (step == "open") <= (phase == "waiting") and (step == "abandon") <= (phase != "waiting")
        if step == "open":
            phase = "opening"
        elif step == "abandon":
            opening_failures += phase == "opening"
            ends += phase == "open"
            phase = "waiting"
        if event == "succeed" and phase == "opening":
            one.opened(now_ns)
            opens, phase = opens + 1, "open"
        elif event == "frame" and phase == "open":
            one.received(now_ns)
            one.free(now_ns)
            frames += 1
        elif event == "quiet" and phase == "open":
            one.quiet(now_ns)
        elif event in ("absent", "in_use", "settings") and phase != "waiting":
            opening_failures += phase == "opening"
            ends += phase == "open"
            one.failed(now_ns, event, "why")
            phase = "waiting"
        assert one.rest_s(now_ns) <= 10.0 or phase != "waiting"
        assert one.epoch == opens - 1 and one.frames == frames
        assert one.stalls + one.losses == ends
        assert sum(one.open_failures.values()) == opening_failures
    if phase == "waiting":
        assert one.look(now_ns + 10 * SECOND) == "open"
