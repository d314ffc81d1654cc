"""A log line is one JSON object with what happened, when, how bad, and who says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest
import structlog

from agent import logs
from agent.repeats import BURST
from agent.settings.settings import Logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is set up for the whole process, so it is put back."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""  # standard output belongs to the command
    return captured.err.splitlines()


def test_an_event_is_one_line_of_json_with_the_bound_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Logs(), station="cell3-cam1")
    log = structlog.get_logger()
    log.info("camera_lost", camera="top", error="first line\nsecond line", losses=3)
    (line,) = lines(capsys)
    event = json.loads(line)
    moment = datetime.fromisoformat(event.pop("timestamp").replace("Z", "+00:00"))
    assert abs((datetime.now(timezone.utc) - moment).total_seconds()) < 3600
    assert event == {
        "event": "camera_lost",
        "level": "info",
        "station": "cell3-cam1",
        "camera": "top",
        "error": "first line\nsecond line",
        "losses": 3,
    }


def test_a_field_of_the_event_wins_over_a_bound_one(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Logs(), station="bound")
    structlog.get_logger().warning("moved", station="other")
    assert json.loads(lines(capsys)[0])["station"] == "other"


def test_events_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Logs(level="warning"))
    log = structlog.get_logger()
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert [json.loads(line)["event"] for line in lines(capsys)] == ["c", "d"]


def test_a_logger_made_before_the_set_up_obeys_it(capsys: pytest.CaptureFixture[str]) -> None:
    log = structlog.get_logger()
    logs.configure(Logs(level="error"), station="late")
    log.info("hidden")
    log.error("seen")
    assert [json.loads(line)["station"] for line in lines(capsys)] == ["late"]


def test_any_value_and_any_trace_stay_within_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Logs())
    log = structlog.get_logger()
    log.info("odd", value=object(), text="\udcff\u2028", path=b"\xff")
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("failed")
    odd, failed = (json.loads(line) for line in lines(capsys))
    assert odd["event"] == "odd"
    assert "ValueError: why" in failed["exception"]


def test_people_get_readable_lines_without_colour_codes_in_a_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(Logs(format="console"), station="cell3-cam1")
    structlog.get_logger().warning("camera_lost", camera="top")
    (line,) = lines(capsys)
    assert "camera_lost" in line and "camera=top" in line and "\x1b" not in line


def test_people_get_the_trace_of_an_exception_and_no_warning_about_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(Logs(format="console"))
    try:
        raise ValueError("why")
    except ValueError:
        structlog.get_logger().exception("failed")
    written = "\n".join(lines(capsys))
    assert "failed" in written and "ValueError: why" in written


@pytest.mark.parametrize(
    ("wanted", "has_colour"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_lines_for_people_have_colour_where_it_is_wanted(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    wanted: dict[str, str],
    has_colour: bool,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    logs.configure(Logs(format="console"))
    structlog.get_logger().info("camera_lost")
    (line,) = lines(capsys)
    assert ("\x1b" in line) == has_colour


def test_lines_of_one_kind_are_limited_and_the_rest_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Logs(), station="cell3-cam1")
    log = structlog.get_logger()
    for frame in range(100):
        log.warning("frame_not_judged", camera="top", frame=frame)
    log.warning("frame_not_judged", camera="side", frame=0)
    said = [json.loads(line) for line in lines(capsys)]
    assert [one["frame"] for one in said] == [*range(BURST), 0]
    assert logs.left_out() == 100 - BURST
    logs.configure(Logs())
    (told,) = (json.loads(line) for line in lines(capsys))
    assert (told["event"], told["of"]) == ("lines_left_out", {"frame_not_judged top warning": 100 - BURST})


def test_where_errors_alone_are_written_the_rest_is_told_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Logs(level="error"))
    for _ in range(BURST + 1):
        structlog.get_logger().error("failed")
    logs.configure(Logs())
    assert json.loads(lines(capsys)[-1])["of"] == {"failed error": 1}
