"""Logs are events: JSON lines for the journal, or readable lines for a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from agent import settings
from agent.address import masked_values

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(wanted: settings.Logs, **bound: str) -> None:
    """Set structlog up for this process; `bound` fields stand in every event."""
    last: Any = (
        structlog.processors.JSONRenderer()
        if wanted.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
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
