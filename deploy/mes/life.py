"""Whether stations live: what they say of themselves, and what is known of each."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from contract import Place, UnreadableError, check_station, check_texts, parse, shown

FULL, RECOVERED = "spool_full", "spool_recovered"


class Status(NamedTuple):
    """A station's retained status, or its last will, which the broker says for it."""

    source: str
    state: str  # online, degraded, offline, stopped
    reason: str | None
    since: str | None  # by the station's clock; the last will has none
    told: str  # when it reached us


class Event(NamedTuple):
    event_id: str
    source: str
    event: str
    severity: str
    created: str
    detail: str
    body: str


class Life(NamedTuple):
    """What is known of one station; times are those at which we were told, in UTC."""

    source: str
    state: str | None
    reason: str | None
    since: str | None
    told: str | None
    sequence: int | None  # of the last verdict that was no replay
    verdict_came: str | None
    last_spool: str | None  # the last of spool_full and spool_recovered

    @property
    def is_alarming(self) -> bool:
        """It is gone without a goodbye, or its outbox is full and its line waits."""
        return self.state == "offline" or self.last_spool == FULL


def read_status(where: Place, payload: bytes, told: str) -> Status:
    """Raises UnreadableError."""
    said, _ = parse(payload, "plumbline.status/1")
    try:
        found = Status(where.source, said["state"], said["reason"], said["since"], told)
    except KeyError as error:
        raise UnreadableError(f"not a status: {error!r}") from None
    check_texts(text for text in (found.state, found.reason, found.since) if text is not None)
    if found.state is None:
        raise UnreadableError("a status without a state")
    return found


def read_event(where: Place, payload: bytes) -> Event:
    """Raises UnreadableError."""
    said, body = parse(payload, "plumbline.event/1")
    check_station(said, where)
    try:
        names = ("event", "severity", "created", "detail")
        found = Event(said["event_id"], where.source, *(said[name] for name in names), body)
    except KeyError as error:
        raise UnreadableError(f"not an event: {error!r}") from None
    check_texts(found)
    return found


def stamp(now: datetime) -> str:
    return now.isoformat(timespec="seconds")


def describe(life: Life, now: datetime) -> str:
    """One line for people."""
    words = [life.state or "status unknown"]
    if life.reason:
        words.append(f"({shown(life.reason)})")
    if life.told is not None:
        words.append(f"told {_age(life.told, now)} ago")
    if life.last_spool == FULL:
        words.append("- its outbox is full and the line waits")
    came = "no verdict yet"
    if life.sequence is not None:
        came = f"last verdict {life.sequence}"
        if life.verdict_came is not None:
            came += f" came {_age(life.verdict_came, now)} ago"
    return f"{life.source}: {' '.join(words)}; {came}"


def _age(then: str, now: datetime) -> str:
    passed = now - datetime.fromisoformat(then).astimezone(timezone.utc)
    for unit, name in ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "min")):
        if passed >= 2 * unit:
            return f"{passed // unit} {name}"
    return f"{max(passed // timedelta(seconds=1), 0)} s"
