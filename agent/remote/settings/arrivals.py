"""Documents as they come: one at a time is taken up, and what waits for that is answered at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from agent.clock import Clock, new_uuid7, rfc3339
from agent.remote.rollout.rollout_file import NotWritable
from agent.remote.rollout.transaction import Instruction
from agent.remote.settings.answers import SettingsAnswers
from agent.remote.settings.desired import Flaw, Unfit
from agent.remote.settings.offer import Offer, verified, weigh
from agent.remote.settings.proposal import Proposal
from agent.remote.settings.steps import Steps
from agent.remote.settings.store import SettingsStore, Snapshot
from agent.remote.settings.target import Ways
from agent.settings.settings import Settings

WAITING = 64  # documents, of which the last ones count
STANDS_S = 60.0  # a probation in which nothing counts for so long gives way to a newer document


class Arrivals:
    """Belongs to one thread, but for `offer`."""

    def __init__(
        self,
        store: SettingsStore,
        ways: Ways,
        clock: Clock,
        *,
        answers: SettingsAnswers,
        steps: Steps,
        in_force: Callable[[], Settings],
    ) -> None:
        self.expiry_checked = False  # of the last document
        self._store = store
        self._ways = ways
        self._clock = clock
        self._answers = answers
        self._steps = steps
        self._in_force = in_force
        self._arrived: deque[bytes] = deque(maxlen=WAITING)
        self._heard: bytes | None = None  # the newest that was answered while it waits
        self._ends = False  # whether that one may end what stands

    def offer(self, envelope: bytes) -> None:
        """A document came, where it is not empty: that says nothing at all. From any thread."""
        if envelope:
            self._arrived.append(envelope)

    def hear(self, what: str, stands_s: float = 0.0) -> str | None:
        """Answer what came while something is under way, in which nothing has counted for so long; why that
        is to be ended, where it is.
        """
        newest = self._arrived[-1] if self._arrived else None
        if newest is None:
            return None
        if newest is not self._heard:
            self._heard = newest
            offer = self._weigh(newest)
            self._ends = not isinstance(offer, Unfit)
            self._answers.waits(offer, f"{what}; this document is taken up after that")
        if self._ends and stands_s > STANDS_S:
            return f"nothing counted for it in {stands_s:.0f} s, and a newer document waits"
        return None

    def take(self) -> None:
        """Take up what came, as long as nothing is under way."""
        while self._arrived and self._steps.record.state == "idle":
            self._answers.waits_no_more()
            self._take(self._arrived.popleft())

    def verify(self, instruction: Instruction) -> Proposal | Unfit:
        """What the document that was taken up makes of the settings in force."""
        settings = self._in_force()
        return verified(
            self._store.candidate() or b"",
            instruction,
            settings,
            self._ways.trust(settings),
            active=self._active(),
            made=self._ways.settings,
            now=self._now(),
        )

    def _take(self, envelope: bytes) -> None:
        """Take a document up, or answer why not."""
        self._heard, self._ends = None, False
        offer = self._weigh(envelope)
        if isinstance(offer, Unfit):
            self._answers.unfit(offer)
            return
        self.expiry_checked = offer.expiry_checked
        self._answers.begun(offer.found.document, offer.found.envelope_sha256)
        try:
            self._store.put_candidate(envelope)
            self._steps.try_once(offer.offered)
        except NotWritable as error:
            self._store.drop_candidate()
            self._answers.say("rejected", error.code, [Flaw(message=str(error))])
            return
        if offer.late is not None:
            self._answers.unfit(offer.late)

    def _weigh(self, envelope: bytes) -> Offer | Unfit:
        settings = self._in_force()
        return weigh(
            envelope,
            settings,
            self._ways.trust(settings),
            record=self._steps.record,
            active=self._active(),
            current=self._store.named("current"),
            clock=self._clock,
            transaction=new_uuid7(self._clock),
        )

    def _active(self) -> Snapshot:
        """What a document is put onto."""
        found = self._store.current()
        return Snapshot(data={}, local={}, source="file", since=self._now()) if found is None else found

    def _now(self) -> str:
        return rfc3339(self._clock.utc_now())
