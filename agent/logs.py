"""Logs are events: fields in the journal, JSON lines for collectors, or readable lines for a terminal."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import traceback
from types import TracebackType
from typing import Any

import structlog

from agent import journal
from agent.address import masked_text, masked_values
from agent.journal import ToJournal, is_journal
from agent.repeats import Repeats
from agent.settings import settings

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

log = structlog.get_logger(__name__)


def _tell_trace(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """What nobody foresaw: the trace, but an exception's text may hold an address with its password."""
    text = masked_text("".join(traceback.format_exception(kind, error, trace)))
    priority = "<2>" if is_journal(sys.stderr, os.environ) else ""
    print("".join(f"{priority}{line}" for line in text.splitlines(keepends=True)), end="", file=sys.stderr)


def _wants_colour() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def configure(wanted: settings.Logs, **bound: str) -> None:
    """Set structlog up for this process; `bound` fields stand in every event."""
    _tell_rest("error")  # of the set-up before, if there was one
    last: Any
    if wanted.format == "console":
        last = structlog.dev.ConsoleRenderer(colors=_wants_colour())
    elif wanted.format == "auto" and is_journal(sys.stderr, os.environ):
        last = ToJournal(frozenset(bound), journal.SOCKET)
    else:
        last = structlog.processors.JSONRenderer()
    sys.excepthook = _tell_trace
    threading.excepthook = lambda died: _tell_trace(died.exc_type, died.exc_value, died.exc_traceback)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            Repeats(time.monotonic_ns),  # before anything that takes time
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            lambda _logger, _method, event: {**bound, **event},
            structlog.processors.format_exc_info,
            lambda _logger, _method, event: masked_values(event),  # whatever an exception or a library said
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[wanted.level]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # whatever stderr is by then
        cache_logger_on_first_use=False,
    )
    atexit.unregister(_tell_rest)
    atexit.register(_tell_rest, wanted.level)


def set_level(level: str) -> None:
    """The lowest that is logged from now on; all else stays as it was configured."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]))


def left_out() -> int:
    """Lines that were not written since the set-up: others like them were, or the journal took no more."""
    lost = sum(one.lost for one in structlog.get_config()["processors"] if isinstance(one, ToJournal))
    return lost + sum(one.left_out for one in _repeats())


def _tell_rest(level: str) -> None:
    tell = log.error if level == "error" else log.warning  # which is written at this level
    for one in _repeats():
        if rest := one.rest():
            tell("lines_left_out", lines=sum(rest.values()), of=rest)


def _repeats() -> list[Repeats]:
    return [one for one in structlog.get_config()["processors"] if isinstance(one, Repeats)]
