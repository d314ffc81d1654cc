"""What was found: one sentence about one thing, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent.address import masked_text
from agent.errors import PlumblineError
from agent.foreign import shown

State: TypeAlias = Literal["ok", "note", "wrong", "skipped"]
STATES: tuple[State, ...] = ("ok", "note", "wrong", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one look says; a check may say several things."""

    state: State
    words: str
    remedy: str = ""  # of notes and of what is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was said, and by which check; printable, and without what may be secret."""

    family: str
    check: str
    state: State
    words: str
    remedy: str = ""


def ok(words: str) -> Said:
    return Said(state="ok", words=words)


def note(words: str, remedy: str) -> Said:
    """The station runs; somebody should know."""
    return Said(state="note", words=words, remedy=remedy)


def wrong(words: str, remedy: str) -> Said:
    return Said(state="wrong", words=words, remedy=remedy)


def skipped(reason: str) -> Said:
    """Not looked at, which is neither good nor bad."""
    return Said(state="skipped", words=reason)


def failed(error: PlumblineError, remedy: str) -> Said:
    """An error of ours: behind the first semicolon it says what to do, else `remedy` does."""
    words, _, own = str(error).partition("; ")
    return wrong(words, own or remedy)


def finding(family: str, check: str, said: Said) -> Finding:
    return Finding(
        family=family,
        check=check,
        state=said.state,
        words=masked_text(shown(said.words)),
        remedy=masked_text(shown(said.remedy)),
    )
