"""The one base of every problem that people are meant to read."""

from __future__ import annotations


class PlumblineError(Exception):
    """Names the place, the value and the remedy; commands print it without a trace."""
