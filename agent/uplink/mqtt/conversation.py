"""One connection with who speaks and who hears on it, and what its end tells of the broker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agent.contract.topics import Topics
from agent.uplink.mqtt import refusals
from agent.uplink.mqtt.bounded import OversizedError
from agent.uplink.mqtt.connection import Connection
from agent.uplink.mqtt.ear import Ear
from agent.uplink.mqtt.herald import Herald
from agent.uplink.mqtt.retry import Outcome
from agent.uplink.mqtt.sayings import Sayings
from agent.uplink.mqtt.terms import Parting, Question

MUTED_S = 3600.0  # after which status and report are said on a connection that was begun without


class Conversation:
    """For the network thread only."""

    def __init__(
        self, connection: Connection, topics: Topics, sayings: Sayings, others: Sequence[str]
    ) -> None:
        """`others` are topics that are heard beside those of commands."""
        self.connection = connection
        self.herald = Herald(connection, topics, sayings)
        self._ear = Ear(connection, topics, others)
        self._topics = topics

    def attend(self, lasted_s: float) -> None:
        """Hear commands; to be called often once the broker has accepted us.

        What connections ended over may have been an accident: a broker that died twice, each time with a
        report on its way. So on one that lasts it is said once more.
        """
        self._ear.attend(lasted_s)
        terms = self.connection.terms
        if lasted_s > MUTED_S and not (terms.status and terms.report):
            self.connection.terms = replace(terms, status=True, report=True)

    @property
    def hears(self) -> bool:
        return self._ear.answered

    def say(self, status: bytes | None, report: bytes | None, *, leaving: bool) -> bool:
        """Whether the broker has the latest of both and all that was to be said about commands."""
        terms = self.connection.terms
        return self.herald.say(
            status if terms.status else None, report if terms.report else None, leaving=leaving
        )

    def lacks(self) -> tuple[str, ...]:
        """What the broker does not do for us, one sentence each."""
        lacks = refusals.lacking(self.connection, self._topics)
        for said, standing, topic in (
            ("status", self.herald.status, self._topics.status()),
            ("report", self.herald.report, self._topics.reported()),
        ):
            if standing.refused is not None:
                lacks = (*lacks, refusals.untaken(said, standing.refused, topic))
        if not self.herald.metrics_fit:
            lacks = (*lacks, refusals.metrics_too_large(self.connection))
        return lacks if self._ear.lack is None else (*lacks, self._ear.lack)

    def parting(self, error: Exception | None, lasted_s: float, outcome: Outcome) -> Parting:
        """What its end tells; `error` is what ended it, if anything was raised."""
        connection = self.connection
        unanswered: set[Question] = set()
        if self.herald.status.unanswered:
            unanswered.add("status")
        if self.herald.report.unanswered:
            unanswered.add("report")
        if self._ear.unanswered:
            unanswered.add("commands")
        reason = connection.answer
        if connection.accepted:
            reason = connection.farewell if connection.dismissed else None
        return Parting(
            outcome=outcome,
            code=0 if reason is None else reason.value,
            unanswered=frozenset(unanswered),
            oversized=isinstance(error, OversizedError),
            kept=isinstance(error, OversizedError) and error.kept,
            lasted_s=lasted_s,
        )
