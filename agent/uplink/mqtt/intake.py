"""What comes in from the broker: it waits to be taken, is refused, or is left to the broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from agent.clock import Clock
from agent.contract.inbound import Inbound, Inbox
from agent.contract.topics import Topics, allowed_response_topic
from agent.uplink.mqtt.sayings import Answer, Sayings


class TurnAway(Protocol):
    """What to say to a message for which there is no room; None where nobody can be told."""

    def __call__(self, inbound: Inbound, topics: Topics, allowed: Callable[[str], bool]) -> Answer | None: ...


class Intake:
    """`take` is for the network thread."""

    def __init__(
        self,
        topics: Topics,
        response_prefixes: Sequence[str],
        clock: Clock,
        turn_away: TurnAway,
        *,
        documents: Sequence[str] = (),
    ) -> None:
        """`documents` are the topics of what the station is to be."""
        self.inbox = Inbox()
        self.documents = Inbox()
        self.pieces = Inbox()  # of a bundle
        self._others = {topics.bundle_data(): self.pieces} | dict.fromkeys(documents, self.documents)
        self.sayings = Sayings()
        self.dropped = 0  # that nobody reads: too large, without a proper topic, or too many for an answer
        self.refused = 0  # answered with 429, because too many waited
        self._topics = topics
        self._prefixes = response_prefixes
        self._clock = clock
        self._turn_away = turn_away

    def take(self, inbound: Inbound) -> None:
        """Have it wait; for want of room say so, or leave it unacknowledged: the broker sends it again."""
        if not inbound.topic:  # was no UTF-8: nobody's, so nobody takes it
            self.dropped += 1
            self.sayings.acknowledge(inbound)
        elif (other := self._others.get(inbound.topic)) is not None:
            self.dropped += not other.offer(replace(inbound, arrived_ns=self._clock.monotonic_ns()))
            self.sayings.acknowledge(inbound)  # documents are retained, and pieces asked for once more
        elif not self.inbox.offer(replace(inbound, arrived_ns=self._clock.monotonic_ns())):
            if self._refuse(inbound):
                self.refused += 1
                self.sayings.acknowledge(inbound)
            else:
                self.dropped += 1

    def _refuse(self, inbound: Inbound) -> bool:
        """Whether there was room for the answer."""
        answer = self._turn_away(inbound, self._topics, self._is_allowed)
        return answer is not None and self.sayings.offer(answer, hurried=False)

    def _is_allowed(self, topic: str) -> bool:
        return allowed_response_topic(topic, self._topics, self._prefixes)
