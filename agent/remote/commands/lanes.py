"""Commands on their way through the desk: who waits for an answer, and those that take long."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

from pydantic import JsonValue, ValidationError

from agent.clock import Clock, new_uuid7
from agent.contract.arguments import COMMANDS, CommandName
from agent.contract.commands import Accepted, Command, NotDoneError, Progress, Rejected, Response
from agent.remote.commands.asked import Data, Steps
from agent.remote.commands.in_order import Taken

LOOK_S = 0.25  # at whether anybody answers still
VALID_S = 60.0

Say: TypeAlias = Callable[[str, Data], None]
"""How far it is: a sentence, and values; called by the desk, which it must not hold up."""


@dataclass(slots=True, eq=False, kw_only=True)
class Here:
    """What somebody at the station asks for, who is known and waits for the answer: no message."""

    accepted: Accepted
    arrived_ns: int
    say: Say
    answers: queue.SimpleQueue[Response | Rejected] = field(default_factory=queue.SimpleQueue)

    def answer(self, within_s: float, is_over: Callable[[], bool]) -> Data:
        """`data` of it, or of what is begun and goes on by itself. Raises NotDoneError.

        Nobody answers any more once `is_over`.
        """
        for _ in range(max(1, round(within_s / LOOK_S))):
            with suppress(queue.Empty):
                found = self.answers.get(timeout=LOOK_S)
                break
            if is_over():
                raise NotDoneError("busy", "the agent ends; look what was done once it runs again")
        else:
            words = f"no answer within {within_s:g} s; it may still be done: look before you ask again"
            raise NotDoneError("busy", words)
        if isinstance(found, Rejected):
            raise NotDoneError(found.kind, found.message, found.data)
        return found.data


@dataclass(slots=True, kw_only=True, eq=False)
class AtHand:
    """A command that takes long, between two of its steps."""

    taken: Taken | Here
    accepted: Accepted
    steps: Steps
    by: str | None = None  # who asked, where that is known
    before: Mapping[str, JsonValue] = field(default_factory=dict)  # how the station stood
    is_kept: bool = False  # remembered and acknowledged already: what is left goes on by itself
    told_ns: int = 0
    told: Progress | None = None


@dataclass(slots=True, eq=False)
class Lane:
    """Commands that take long, one of which is done at a time."""

    waiting: deque[Taken | Here] = field(default_factory=deque)
    at_hand: AtHand | None = None


def asked_here(name: CommandName, args: Mapping[str, JsonValue], who: str, say: Say, clock: Clock) -> Here:
    """Of somebody whose name is known: it counts as a signature does. Raises NotDoneError."""
    try:
        arguments = COMMANDS[name].model_validate(dict(args))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:64] for part in first["loc"])
        raise NotDoneError("bad_arguments", f"{where}: {first['msg']}") from None
    id_ = new_uuid7(clock)
    command = Command(
        id=id_,
        name=name,
        arguments=arguments,
        expires=clock.utc_now() + timedelta(seconds=VALID_S),
        issuer=who,
    )
    accepted = Accepted(command=command, reply_to="", correlation_data=None)
    return Here(accepted=accepted, arrived_ns=clock.monotonic_ns(), say=say)
