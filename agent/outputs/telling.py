"""What outputs have done becomes durable: rows of actuations, and events, by a thread of its own.

Outputs never wait for the outbox: what they tell waits here, in its order. At a stop this thread goes on
until every output has ended and all that they told is handed to the outbox.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import structlog
from pydantic import JsonValue

from agent.clock import Clock, rfc3339
from agent.contract.actuation import Actuation, actuation_row
from agent.contract.events import EventMaker, Severity
from agent.contract.row import Row
from agent.outputs.account import Account, gone_on, is_over, is_trouble, lateness_ms
from agent.outputs.nouns import Ending, Unplaced
from agent.outputs.worker import Lost, Standing, Told

LOOK_S = 0.2
LEAVE_S = 8.0  # at a stop, for outputs whose gate hangs

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Telling:
    """`tell` from any thread; `run` it in one."""

    events: EventMaker
    append: Callable[[Row], object]
    station: str
    boot_id: str
    clock: Clock
    new_id: Callable[[], str]
    _told: queue.SimpleQueue[tuple[Account, Told]] = field(default_factory=queue.SimpleQueue)

    def tell(self, account: Account, told: Told) -> None:
        """Never waits."""
        self._told.put((account, told))

    def run(
        self, stop: threading.Event, accounts: Sequence[Account], ended: Sequence[threading.Event]
    ) -> None:
        """Until `stop` is set and all outputs have `ended`."""
        while not stop.is_set():
            self._next(LOOK_S)
            for account in accounts:
                self._look(account)
        leaves_ns = self.clock.monotonic_ns() + round(LEAVE_S * 1e9)
        while not all(one.is_set() for one in ended) and self.clock.monotonic_ns() < leaves_ns:
            self._next(LOOK_S)
        while self._next(0.0):
            pass

    def _next(self, timeout_s: float) -> bool:
        """Whether there was something to be told."""
        try:
            account, told = self._told.get(timeout=timeout_s) if timeout_s else self._told.get_nowait()
        except queue.Empty:
            return False
        match told:
            case Ending():
                self._actuation(account, told)
            case Unplaced():
                self._unplaced(account, told)
            case Standing():
                self._standing(account, told)
            case Lost():
                detail = (
                    f"output {account.name}: the encoder of camera {account.camera} was reset; the places of "
                    f"{told.parts} parts on their way to the gate are estimated by the belt's last speed"
                )
                self._event("output_reset", "warning", detail, account, parts=told.parts)
        return True

    def _actuation(self, account: Account, ending: Ending) -> None:
        account.take(ending)
        account.sequence += 1
        self._record(account, made(ending, self._head(account)), is_trouble=is_trouble(ending))

    def _unplaced(self, account: Account, told: Unplaced) -> None:
        account.miss()
        account.sequence += 1
        self._record(account, unplaced(told, self._head(account)), is_trouble=True)

    def _head(self, account: Account) -> Head:
        return Head(
            actuation_id=self.new_id(),
            sequence=account.sequence,
            boot_id=self.boot_id,
            station=self.station,
            output=account.name,
            created=rfc3339(self.clock.utc_now()),
            camera=account.camera,
        )

    def _record(self, account: Account, actuation: Actuation, *, is_trouble: bool) -> None:
        self.append(actuation_row(self.events.topics, actuation))
        if not is_trouble:
            return
        begins = account.episode is None
        account.episode = gone_on(account.episode, actuation.cause, self.clock.monotonic_ns())
        if begins:
            self._event(
                "output_late",
                "alarm",
                _words(actuation),
                account,
                actuation_id=actuation.actuation_id,
                action=actuation.action,
                cause=actuation.cause,
                frame_id=actuation.frame_id,
                result_id=actuation.result_id,
                lateness_ms=actuation.lateness_ms,
            )

    def _look(self, account: Account) -> None:
        episode = account.episode
        if episode is None or not is_over(episode, self.clock.monotonic_ns()):
            return
        account.episode = None
        count = sum(episode.causes.values())
        causes: dict[str, JsonValue] = {str(cause): count for cause, count in episode.causes.items()}
        detail = f"output {account.name} acts in time again; {count} parts were not acted on as they should"
        self._event("output_punctual", "info", detail, account, parts=count, causes=causes)

    def _standing(self, account: Account, told: Standing) -> None:
        was, account.trouble = account.trouble, told.trouble
        if told.trouble is None:
            self._event("output_recovered", "info", f"output {account.name}: its gate answers again", account)
        elif was is None:
            detail = f"output {account.name}: {told.trouble}"
            self._event("output_failing", "alarm", detail, account)

    def _event(self, name: str, severity: Severity, detail: str, account: Account, **data: JsonValue) -> None:
        (log.info if severity == "info" else log.warning)(name, output=account.name, detail=detail)
        self.append(
            self.events.row(name, severity, detail, output=account.name, camera=account.camera, **data)
        )


class Head(TypedDict):
    """What every actuation says of whom it comes from."""

    actuation_id: str
    sequence: int
    boot_id: str
    station: str
    output: str
    created: str
    camera: str


def unplaced(told: Unplaced, head: Head) -> Actuation:
    """The message of a part that nobody could place."""
    return Actuation(
        **head,
        action="missed",
        cause="untracked",
        is_late=False,
        lateness_ms=None,
        detail=told.detail,
        frame_id=None,
        result_id=None,
        verdict=told.verdict,
        part_id=told.part_id,
        part_result_id=told.part_result_id,
        is_simulated=told.is_simulated,
    )


def made(ending: Ending, head: Head) -> Actuation:
    """The message of one ending."""
    decision = ending.decision
    verdict_late_ms = None
    if decision is not None and ending.due_ns is not None and decision.at_ns > ending.due_ns:
        verdict_late_ms = round((decision.at_ns - ending.due_ns) / 1e6, 3)
    return Actuation(
        **head,
        action=ending.action,
        cause=ending.cause,
        is_late=ending.is_late,
        lateness_ms=lateness_ms(ending),
        verdict_lateness_ms=verdict_late_ms,
        merged=ending.merged,
        is_estimated=ending.is_estimated,
        detail=ending.detail,
        frame_id=ending.frame_id,
        result_id=None if decision is None else decision.result_id,
        verdict=None if decision is None else decision.verdict,
        part_id=None if decision is None else decision.part_id,
        part_result_id=None if decision is None else decision.part_result_id,
        is_simulated=decision is not None and decision.is_simulated,
    )


def _words(actuation: Actuation) -> str:
    part = "a part" if actuation.frame_id is None else f"the part of frame {actuation.frame_id}"
    part = part if actuation.part_id is None else f"part {actuation.part_id}"
    remedy = "compare the time from camera to gate with the latency of verdicts"
    match actuation.action, actuation.cause:
        case "pass", _:
            what = "was let through without its verdict"
        case "reject", "no_verdict":
            what = "was rejected without its verdict"
        case "reject", "late_verdict":
            what = "was rejected before its verdict came"
        case "reject", _:
            what = f"was rejected {actuation.lateness_ms:.0f} ms after it was at the gate, which is too late"
        case _, "gate" | "untracked":
            what, remedy = f"was not acted on: {actuation.detail}", ""
        case _:
            what = f"was not acted on: {actuation.detail or actuation.cause}"
    if actuation.cause == "untracked" and actuation.part_result_id is not None:
        remedy = f"its part verdict {actuation.part_result_id} says which views there are"
    return "; ".join(filter(None, (f"output {actuation.output}: {part} {what}", remedy)))
