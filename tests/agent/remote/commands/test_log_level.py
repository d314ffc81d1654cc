"""The log says more for a time, and then what the settings say again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from agent import logs
from agent.clock import ManualClock
from agent.remote.commands.log_level import LogLevel
from agent.settings.settings import Logs

log = structlog.get_logger()


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    before = structlog.get_config()
    logs.configure(Logs(level="info", format="json"))
    yield
    structlog.configure(**before)


def test_a_level_holds_until_its_time_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock()
    level = LogLevel("info", clock)
    log.debug("first")
    assert level.set_level("debug", 60.0) is not None
    log.debug("second")
    clock.advance(59)
    level.watch()
    log.debug("third")
    clock.advance(2)
    level.watch()
    log.debug("fourth")
    said = capsys.readouterr().err
    assert "first" not in said and "fourth" not in said
    assert "second" in said and "third" in said and "its time is over" in said


def test_a_level_without_an_end_holds_and_other_settings_end_it(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock()
    level = LogLevel("info", clock)
    assert level.set_level("debug", None) is None
    clock.advance(1e6)
    level.watch()
    log.debug("more")
    assert "more" in capsys.readouterr().err
    level.set_level("error", 60.0)
    level.take_over("warning")
    assert level.settings_level == "warning"
    clock.advance(61)
    level.watch()
    log.error("still")
    assert "its time is over" not in capsys.readouterr().err
