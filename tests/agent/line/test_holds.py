"""What people have stopped holds at once, says who and why, and outlives the agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.contract.commands import NotDoneError
from agent.durable import unfinished_of
from agent.line.holds import Holds, HoldsError


def holds_at(folder: Path, *cameras: str) -> Holds:
    made = Holds(cameras or ("top", "side"), path=folder / "holds.json", clock=ManualClock())
    made.open()
    return made


def test_a_pause_holds_for_what_is_captured_from_its_arrival_to_that_of_the_end(tmp_path: Path) -> None:
    holds = holds_at(tmp_path)
    assert holds.pause_at(5) is None
    hold = holds.pause("gripper", "lead", 10)
    holds.resume("lead", 20)
    held = [captured_ns for captured_ns in range(25) if holds.pause_at(captured_ns) is not None]
    assert held == list(range(10, 20)), "what waited in the ring when it ended was captured in it"
    assert (hold.who, hold.reason, holds.paused) == ("lead", "gripper", None)


def test_pauses_and_disabled_cameras_outlive_the_agent(tmp_path: Path) -> None:
    before = holds_at(tmp_path)
    before.pause("gripper", "lead", 10)
    before.disable("side", "lens", "lead")
    after = holds_at(tmp_path)
    assert after.paused is not None and after.pause_at(0) == after.paused
    assert after.why_disabled("side") == "since 2026-01-01T00:00:00.000Z by lead: lens"
    assert after.why_disabled("top") is None
    assert after.words() == (
        "Paused since 2026-01-01T00:00:00.000Z by lead: gripper",
        "Camera side is disabled since 2026-01-01T00:00:00.000Z by lead: lens",
    )
    after.resume("lead", 20)
    after.enable("side", "lead")
    again = holds_at(tmp_path)
    assert again.paused is None and not again.disabled and again.words() == ()


def test_the_first_reason_stays_until_it_is_over(tmp_path: Path) -> None:
    holds = holds_at(tmp_path)
    assert holds.pause("gripper", "a", 10) == holds.pause("lunch", "b", 20)
    assert holds.disable("top", "lens", "a") == holds.disable("top", "cable", "b")
    assert holds.enable("side", "a") is None and holds.resume("a", 30) is not None
    assert holds.resume("a", 40) is None


def test_a_camera_that_there_is_not_is_refused(tmp_path: Path) -> None:
    holds = holds_at(tmp_path)
    for ask in (lambda: holds.disable("x", "lens", "a"), lambda: holds.enable("x", "a")):
        with pytest.raises(NotDoneError, match="there are top, side"):
            ask()
    holds.disable("side", "lens", "a")
    other = holds_at(tmp_path, "top")  # its settings have changed
    assert not other.disabled and other.words() == ()


def test_what_cannot_be_written_does_not_hold(tmp_path: Path) -> None:
    holds = holds_at(tmp_path)
    unfinished_of(tmp_path / "holds.json").mkdir()
    with pytest.raises(HoldsError, match="nothing was changed"):
        holds.pause("gripper", "a", 10)
    with pytest.raises(HoldsError):
        holds.disable("top", "lens", "a")
    assert holds.paused is None and holds.pause_at(10) is None and not holds.disabled
    unfinished_of(tmp_path / "holds.json").rmdir()
    holds.pause("gripper", "a", 10)
    unfinished_of(tmp_path / "holds.json").mkdir()
    with pytest.raises(HoldsError):
        holds.resume("a", 20)
    assert holds.pause_at(30) is not None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"paused": 7}', b"\xff", b"[" * 9999])
def test_a_record_that_cannot_be_read_pauses_the_station_and_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "holds.json").write_bytes(content)
    holds = holds_at(tmp_path)
    assert holds.pause_at(0) is not None and "cannot be read" in holds.words()[0]
    holds.resume("lead", 10)
    assert holds_at(tmp_path).paused is None


def test_a_pause_long_over_is_forgotten(tmp_path: Path) -> None:
    holds = holds_at(tmp_path)
    for number in range(100):
        holds.pause("x", "a", 10 * number)
        holds.resume("a", 10 * number + 5)
    assert len(holds._pauses) <= 20
    assert holds.pause_at(992) is not None and holds.pause_at(997) is None
