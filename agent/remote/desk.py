"""The desk takes commands one at a time, has the accepted ones done, and answers each.

A command is done, and durably remembered as done, before its message is acknowledged: after a
crash in between the broker sends it again, and then it is done again or answered with 409, so
that every action must bear being done twice.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

import structlog
from pydantic import JsonValue

from agent.clock import Clock
from agent.contract.arguments import Ack, Bind, Ping, Replay
from agent.contract.inbound import Inbound
from agent.contract.payloads import encode
from agent.contract.topics import Topics
from agent.line.bindings import Bindings
from agent.outbox.replayed import Replayed
from agent.remote.admission import (
    CODES,
    Accepted,
    Command,
    Kind,
    NotDoneError,
    Rejected,
    Response,
    decide,
    response_to,
)

LOG_EVERY_S = 60.0

log = structlog.get_logger(__name__)


class Actions(Protocol):
    """What commands may do. Each may raise; the one who asked is told."""

    def replay(self, from_sequence: int, to_sequence: int) -> Replayed:
        """Have delivered verdicts published again."""

    def confirm(self, result_ids: Sequence[str]) -> int:
        """The MES has these results; how many of them waited for that."""

    def remember(self, command_id: str, now: datetime) -> None:
        """This command has run; durable on return, and kept while a broker may send it again."""

    def seen(self, command_id: str) -> bool:
        """Whether it has been remembered."""


class Inbox(Protocol):
    """Where commands wait."""

    def get(self, *, timeout: float) -> Inbound:
        """The oldest; raises queue.Empty when none comes within `timeout` seconds."""


class Answers(Protocol):
    """The way back. Neither raises; without a connection nothing happens."""

    def respond(self, topic: str, payload: bytes, correlation_data: bytes | None) -> None:
        """Publish one answer."""

    def acknowledge(self, inbound: Inbound) -> None:
        """Tell the broker that it need not send this message again, once it has the answers before."""


class Desk:
    """The thread between the messages of `inbox` and what they ask for."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        topics: Topics,
        actions: Actions,
        bindings: Bindings,
        answers: Answers,
        clock: Clock,
        clock_synced: Callable[[], bool | None],
        allowed: Callable[[str], bool],
    ) -> None:
        self._inbox = inbox
        self._topics = topics
        self._actions = actions
        self._bindings = bindings
        self._answers = answers
        self._clock = clock
        self._clock_synced = clock_synced
        self._allowed = allowed
        self._refusals: dict[str, int] = dict.fromkeys(CODES, 0)
        self._quiet_until_ns: dict[str, int] = {}
        self._performed = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)
        self._failure: Exception | None = None

    @property
    def refusals(self) -> Mapping[str, int]:
        """How many commands were not done, by kind; a number for each of CODES."""
        return dict(self._refusals)

    @property
    def performed(self) -> int:
        return self._performed

    @property
    def failure(self) -> Exception | None:
        """Why no command is taken any more; None while all is well."""
        return self._failure

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop after the command at hand; what waits is unacknowledged, and the broker sends it again."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    inbound = self._inbox.get(timeout=0.25)
                except queue.Empty:
                    continue
                self._take(inbound)
        except Exception as error:  # whatever ends this thread is for its crew to see
            log.error("desk_failed", reason=str(error), exc_info=error)
            self._failure = error

    def _take(self, inbound: Inbound) -> None:
        asked = self._decide(inbound)
        answer = asked if isinstance(asked, Rejected) else self._perform(asked, inbound.arrived_ns)
        if isinstance(answer, Rejected):
            self._count(answer, inbound)
        if asked.reply_to is not None:
            self._answers.respond(asked.reply_to, encode(response_to(answer)), asked.correlation_data)
        self._answers.acknowledge(inbound)

    def _decide(self, inbound: Inbound) -> Accepted | Rejected:
        rules = partial(
            decide,
            inbound,
            self._topics,
            now=self._clock.utc_now(),
            clock_synced=self._clock_synced(),
            allowed=self._allowed,
        )
        try:
            return rules(seen=self._actions.seen)
        except Exception as error:  # nobody knows whether it has run: it does not run
            otherwise = rules(seen=lambda _: False)
            return _failed(otherwise, error) if isinstance(otherwise, Accepted) else otherwise

    def _perform(self, accepted: Accepted, arrived_ns: int) -> Response | Rejected:
        command = accepted.command
        try:
            data = self._act(command, arrived_ns)
            self._actions.remember(command.id, self._clock.utc_now())
        except NotDoneError as error:
            return _not_done(accepted, error.kind, str(error), error.data)
        except Exception as error:
            return _failed(accepted, error)
        self._performed += 1
        log.info("command_performed", command=command.name, id=command.id, **data)
        message = "done"
        if data.get("gone"):
            message += "; what is gone this station does not have any more, or never had"
        if not accepted.expiry_checked:
            message += "; when it expires was not looked at, because this station's clock is not synchronised"
        return Response(
            id=command.id,
            name=command.name,
            code=200,
            message=message,
            data=data,
            expiry_checked=accepted.expiry_checked,
        )

    def _act(self, command: Command, arrived_ns: int) -> Mapping[str, JsonValue]:
        match command.arguments:
            case Ping():
                return {}
            case Replay(from_sequence=first, to_sequence=last):
                return self._actions.replay(first, last).data()
            case Ack(result_ids=result_ids):
                return {"confirmed": self._actions.confirm(result_ids)}
            case Bind() as wanted:
                return {"cameras": list(self._bindings.bind(wanted, arrived_ns))}

    def _count(self, rejected: Rejected, inbound: Inbound) -> None:
        kind, now_ns = rejected.kind, self._clock.monotonic_ns()
        self._refusals[kind] += 1
        if now_ns >= self._quiet_until_ns.get(kind, now_ns):
            self._quiet_until_ns[kind] = now_ns + round(LOG_EVERY_S * 1e9)
            log.warning(
                "command_refused",
                kind=kind,
                code=rejected.code,
                topic=inbound.topic[:256],
                reason=rejected.message,
                so_far=self._refusals[kind],
            )


def _failed(accepted: Accepted, error: Exception) -> Rejected:
    message = f"it could not be done: {error}"[:500].encode(errors="replace").decode()
    return _not_done(accepted, "failed", message, {})


def _not_done(accepted: Accepted, kind: Kind, message: str, data: Mapping[str, JsonValue]) -> Rejected:
    return Rejected(
        code=CODES[kind],
        kind=kind,
        message=message,
        reply_to=accepted.reply_to,
        correlation_data=accepted.correlation_data,
        id=accepted.command.id,
        name=accepted.command.name,
        data=data,
        expiry_checked=accepted.expiry_checked,
    )
