"""Logs are events: JSON lines for the journal, or readable lines for a terminal."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from types import TracebackType
from typing import Any

import structlog

from agent.address import masked_text, masked_values
from agent.settings import settings

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def _tell_trace(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """What nobody foresaw: the trace, but an exception's text may hold an address with its password."""
    text = "".join(traceback.format_exception(kind, error, trace))
    print(masked_text(text), end="", file=sys.stderr)


def _wants_colour() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def configure(wanted: settings.Logs, **bound: str) -> None:
    """Set structlog up for this process; `bound` fields stand in every event."""
    last: Any = (
        structlog.processors.JSONRenderer()
        if wanted.format == "json"
        else structlog.dev.ConsoleRenderer(colors=_wants_colour())
    )
    sys.excepthook = _tell_trace
    threading.excepthook = lambda died: _tell_trace(died.exc_type, died.exc_value, died.exc_traceback)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
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
