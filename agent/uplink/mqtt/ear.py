"""How others are heard on one connection: what is subscribed to, and what the broker makes of it.

One filter matches every command. A broker without wildcards, or that does not let us have that
filter, is asked for each command by its name.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.contract.arguments import COMMANDS
from agent.contract.topics import Topics
from agent.uplink.mqtt import refusals
from agent.uplink.mqtt.connection import Connection

DEAF_S = 300.0  # after which commands are asked for on a connection that was begun without


class Ear:
    """For the network thread only."""

    def __init__(self, connection: Connection, topics: Topics, others: Sequence[str]) -> None:
        """`others` are topics beside those of commands."""
        self._connection = connection
        self._every = topics.commands()
        self._each = tuple(
            topics.cmd(name) for name in COMMANDS
        )  # here, since `attend` is called at each turn
        self._others = tuple(others)
        self._asked: tuple[str, ...] = ()
        self.lack: str | None = None  # in words for people

    @property
    def unanswered(self) -> bool:
        return bool(self._asked) and self._connection.subscription is None

    @property
    def answered(self) -> bool:
        """Whether the broker has said if it sends commands."""
        return bool(self._asked) and self._connection.subscription is not None

    def attend(self, lasted_s: float) -> None:
        """Ask for what is not yet asked for, and look at what was answered."""
        connection, every, each = self._connection, self._every, self._each
        if not self._asked:
            if connection.terms.commands or lasted_s > DEAF_S:
                self._ask((every,) if connection.wildcards else each)
            else:
                self.lack = refusals.deaf(DEAF_S)
            return
        answers = connection.subscription
        if answers is None:
            return
        refused = [asked for asked, answer in zip(self._asked, answers, strict=False) if answer.is_failure]
        if refused:
            reason = next(answer for answer in answers if answer.is_failure)
            told = [one for one in refused if one not in each]
            if set(each) <= set(refused):
                told.insert(0, every)
            else:
                told += [one for one in refused if one in each]
            what = "desired settings and bundles" if set(told) <= set(self._others) else "commands"
            self.lack = refusals.unsubscribed(what, ", ".join(told), reason)
            if every in refused:
                self._ask(each)
        else:
            self.lack = None

    def _ask(self, commands: tuple[str, ...]) -> None:
        self._asked = (*commands, *self._others)
        self._connection.subscribe(self._asked)
