"""What each command does: the table from its name to its doing.

The name, the arguments and the words about them stand in `agent/contract/arguments.py`. A verb that takes
long is done in steps: between two of them the desk answers others, and the line may write to the outbox.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from pydantic import JsonValue

from agent.contract.arguments import Ack, Arguments, Bind, Ping, Replay
from agent.outbox.replayed import Replayed, together

REPLAYED_AT_ONCE = 2000

Data: TypeAlias = Mapping[str, JsonValue]  # `data` of the answer
Steps: TypeAlias = Generator[None, None, Data]


class Kept(Protocol):
    """The outbox, as far as commands reach into it. Each may raise."""

    def replay(self, from_sequence: int, to_sequence: int) -> Replayed:
        """Have delivered verdicts published again."""

    def confirm(self, result_ids: Sequence[str]) -> int:
        """The MES has these results; how many of them waited for that."""


class Binding(Protocol):
    """Which part and which order triggers belong to."""

    def bind(self, wanted: Bind, arrived_ns: int) -> Sequence[str]:
        """Have it hold from then on; for which cameras. May raise NotDoneError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """What commands act on."""

    outbox: Kept
    bindings: Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """What a command does with a station, its arguments, and when it arrived (ns, monotonic clock).

    Whatever it raises, the one who asked is told; NotDoneError has a code of its own.
    """

    does: Callable[[Station, Any, int], Data | Steps]

    @property
    def takes_long(self) -> bool:
        return inspect.isgeneratorfunction(self.does)

    def steps(self, station: Station, asked: Arguments, arrived_ns: int) -> Steps:
        """Do it; what does not take long is done with the first step."""
        done = self.does(station, asked, arrived_ns)
        return (yield from done) if isinstance(done, Generator) else done


def ping(station: Station, asked: Ping, arrived_ns: int) -> Data:
    return {}


def replay(station: Station, asked: Replay, arrived_ns: int) -> Steps:
    """A whole range at once would hold the outbox for a second or more."""
    done: list[Replayed] = []
    for first in range(asked.from_sequence, asked.to_sequence + 1, REPLAYED_AT_ONCE):
        last = min(first + REPLAYED_AT_ONCE - 1, asked.to_sequence)
        done.append(station.outbox.replay(first, last))
        yield
    return together(done).data()


def ack(station: Station, asked: Ack, arrived_ns: int) -> Data:
    return {"confirmed": station.outbox.confirm(asked.result_ids)}


def bind(station: Station, asked: Bind, arrived_ns: int) -> Data:
    return {"cameras": list(station.bindings.bind(asked, arrived_ns))}


VERBS: Mapping[str, Verb] = {
    "ping": Verb(does=ping),
    "replay": Verb(does=replay),
    "ack": Verb(does=ack),
    "bind": Verb(does=bind),
}
