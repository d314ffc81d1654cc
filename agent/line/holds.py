"""What people have stopped: the whole station paused, or single cameras disabled, with who and why.

Both outlive the agent in a small file beside the outbox, which is written before they hold. A pause holds for
triggers from the moment at which it was asked for; what was captured before is judged still. Every method is
safe from any thread.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from agent import durable
from agent.clock import Clock, rfc3339
from agent.contract.commands import NotDoneError
from agent.contract.payloads import Hold
from agent.errors import PlumblineError
from agent.foreign import shown

KEPT_PAUSES = 16  # that are over; triggers which they hold may still wait in the ring

log = structlog.get_logger(__name__)


class HoldsError(PlumblineError):
    """What was asked for cannot be recorded, and does not hold; names the file."""


class _Recorded(BaseModel):
    paused: Hold | None = None
    disabled: Mapping[str, Hold] = {}

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pause:
    hold: Hold
    from_ns: int
    until_ns: int | None = None


class Holds:
    """Of one station."""

    def __init__(self, cameras: Sequence[str], *, path: Path, clock: Clock) -> None:
        self._cameras = tuple(cameras)
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._recorded = _Recorded()
        self._pauses: tuple[_Pause, ...] = ()  # the newest last

    def open(self) -> None:
        """Take up what held when the agent ended. A record that cannot be read pauses the station.

        It may have said that the station is paused, and judging nothing is what can be mended.
        """
        try:
            self._recorded = _Recorded.model_validate(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError, ValidationError) as error:
            why = f"{shown(str(self._path))} cannot be read ({shown(str(error).splitlines()[0])[:200]})"
            log.error("holds_unreadable", path=str(self._path), reason=str(error)[:500])
            hold = Hold(
                since=rfc3339(self._clock.utc_now()),
                who="plumbline",
                reason=f"{why}; nobody knows what was paused or disabled: send resume, and disable anew",
            )
            self._recorded = _Recorded(paused=hold)
        if self._recorded.paused is not None:
            self._pauses = (_Pause(hold=self._recorded.paused, from_ns=0),)

    @property
    def paused(self) -> Hold | None:
        return self._recorded.paused

    @property
    def disabled(self) -> Mapping[str, Hold]:
        """By camera, of those that there are."""
        return {name: hold for name, hold in self._recorded.disabled.items() if name in self._cameras}

    def pause(self, reason: str, who: str, arrived_ns: int) -> Hold:
        """Triggers from `arrived_ns` on are not judged; the pause that is in force. Raises HoldsError."""
        with self._lock:
            if self._recorded.paused is not None:
                return self._recorded.paused
            hold = self._hold(reason, who)
            self._record(self._recorded.model_copy(update={"paused": hold}))
            self._pauses = (*self._pauses[-KEPT_PAUSES:], _Pause(hold=hold, from_ns=arrived_ns))
            return hold

    def resume(self, who: str, arrived_ns: int) -> Hold | None:
        """What is captured from `arrived_ns` on is judged; the pause that is over. Raises HoldsError."""
        with self._lock:
            hold = self._recorded.paused
            if hold is not None:
                self._record(self._recorded.model_copy(update={"paused": None}))
                *before, last = self._pauses
                self._pauses = (*before, _Pause(hold=hold, from_ns=last.from_ns, until_ns=arrived_ns))
            return hold

    def pause_at(self, captured_ns: int) -> Hold | None:
        """That in which a trigger was captured; never waits."""
        for one in reversed(self._pauses):
            if one.from_ns <= captured_ns and (one.until_ns is None or captured_ns < one.until_ns):
                return one.hold
        return None

    def disable(self, camera: str, reason: str, who: str) -> Hold:
        """Why it is disabled, now or already. Raises NotDoneError for no such camera, HoldsError."""
        self._check(camera)
        with self._lock:
            known = self._recorded.disabled
            if camera in known:
                return known[camera]
            hold = self._hold(reason, who)
            self._record(self._recorded.model_copy(update={"disabled": {**known, camera: hold}}))
            return hold

    def enable(self, camera: str, who: str) -> Hold | None:
        """Why it was disabled; None where it was not. Raises NotDoneError for no such camera, HoldsError."""
        self._check(camera)
        with self._lock:
            known = dict(self._recorded.disabled)
            hold = known.pop(camera, None)
            if hold is not None:
                self._record(self._recorded.model_copy(update={"disabled": known}))
            return hold

    def why_disabled(self, camera: str) -> str | None:
        """In words; None where the camera is to be open. Never waits."""
        hold = self._recorded.disabled.get(camera)
        return None if hold is None else hold.words()

    def words(self) -> tuple[str, ...]:
        """What is stopped, one sentence each."""
        paused = self._recorded.paused
        said = [] if paused is None else [f"Paused {paused.words()}"]
        said += [f"Camera {name} is disabled {hold.words()}" for name, hold in self.disabled.items()]
        return tuple(said)

    def _hold(self, reason: str, who: str) -> Hold:
        return Hold(since=rfc3339(self._clock.utc_now()), who=who, reason=reason)

    def _check(self, camera: str) -> None:
        if camera not in self._cameras:
            known = ", ".join(self._cameras)
            raise NotDoneError("bad_arguments", f"camera: no camera {camera[:64]!r}; there are {known}")

    def _record(self, wanted: _Recorded) -> None:
        """Durable on return, and in force then. Raises HoldsError."""
        try:
            durable.replace_file(self._path, [wanted.model_dump_json().encode()])
        except OSError as error:
            raise HoldsError(
                f"{shown(str(self._path))}: {error.strerror}; nothing was changed: see the disk"
            ) from error
        self._recorded = wanted
