"""What is said of the document that came last, and kept over a restart. Nothing here moves a state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from agent.clock import Clock, rfc3339
from agent.contract.desired import Desired
from agent.contract.reported import AttemptState, ProblemReport, SettingsAttempt
from agent.foreign import stored
from agent.remote.rollout.transaction import Record
from agent.remote.settings.desired import Flaw, Unfit
from agent.remote.settings.offer import HAND, Offer
from agent.remote.settings.store import SettingsStore

log = structlog.get_logger(__name__)

LOST = "were damaged or lost, and those before are in force; send them again with a higher counter"
UNDER_WAY: Mapping[str, AttemptState] = {
    "downloading": "pending",
    "verifying": "verifying",
    "proving": "proving",
    "staged": "staged",
    "probation": "probation",
}
ENDED: Mapping[str, AttemptState] = {
    "failed": "failed",
    "superseded": "superseded",
    "cancelled": "cancelled",
    "rolled_back": "rolled_back",
    "unable_to_roll_back": "failed",
}


FAILED = {"failed", "rolled_back", "unable_to_roll_back"}  # what was tried here, and is to be remembered


class SettingsAnswers:
    """`told` is called after each new answer, from the thread that gives it."""

    def __init__(self, store: SettingsStore, clock: Clock, told: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._told = told
        self.last: SettingsAttempt | None = None
        self.last_failed: SettingsAttempt | None = None
        self.waiting: SettingsAttempt | None = None

    def load(self) -> None:
        """What was said before this process began."""
        found = self._store.attempted() or {}
        failed = found.pop("last_failed", None)
        self.last, self.last_failed = _kept(found or None), _kept(failed)

    def unfit(self, unfit: Unfit) -> None:
        """A document is not obeyed; of one that nobody signed nothing is kept on disk."""
        said = self._new("rejected", unfit.code, unfit.head, unfit.envelope_sha256)
        self._keep(said.model_copy(update={"errors": _problems(unfit.flaws)}), durable=unfit.head is not None)

    def waits(self, offer: Offer | Unfit, for_what: str) -> None:
        """A document came while another is under way."""
        if isinstance(offer, Unfit):
            said = self._new("rejected", offer.code, offer.head, offer.envelope_sha256)
            said = said.model_copy(update={"errors": _problems(offer.flaws)})
        else:
            said = self._new("pending", 202, offer.found.document, offer.found.envelope_sha256)
            said = said.model_copy(update={"errors": _problems([Flaw(message=for_what)])})
        self.waiting = said
        self._told()

    def waits_no_more(self) -> None:
        """It is at hand."""
        self.waiting = None

    def begun(self, head: Desired, envelope_sha256: str) -> None:
        """A document is taken up."""
        self._keep(self._new("pending", 202, head, envelope_sha256))

    def merged(self, overwritten: Sequence[str], held: Sequence[str]) -> None:
        """What it takes from local edits, and what the station keeps."""
        self._update(overwritten=tuple(overwritten), held=tuple(held))

    def flawed(self, flaws: Sequence[Flaw]) -> None:
        """What is wrong with it, place by place."""
        self._update(errors=_problems(flaws))

    def say(self, state: AttemptState, code: int, flaws: Sequence[Flaw] | None = None) -> None:
        """Of the document at hand."""
        errors = {} if flaws is None else {"errors": _problems(flaws)}
        self._update(state=state, code=code, **errors)

    def unchanged(self) -> None:
        """The document at hand is one that was taken up before: it is not in force where it failed then."""
        failed = self.last_failed
        if (
            failed is not None
            and self.last is not None
            and failed.envelope_sha256 == self.last.envelope_sha256
        ):
            self._update(state="rejected", code=424, errors=failed.errors)
        else:
            self.say("unchanged", 200, [])

    def lost(self, named: str) -> str:
        """What was in force is not there any more; what people are to know."""
        words = f"settings that were kept here ({named[:12]}) {LOST}"
        log.error("settings_lost", reason=words)
        if self.last is not None and self.last.state in ("applied", "unchanged"):
            self._update(state="failed", code=500, errors=_problems([Flaw(message=words)]))
            self.last_failed = self.last
            self._tell()
        return words

    def moved(self, was: Record, record: Record) -> None:
        """Its transaction has another state."""
        if was.state == record.state or record.instruction is None or record.instruction.issuer == HAND:
            return
        problem = record.errors[-1] if record.errors else None
        if record.state in UNDER_WAY:
            self._update(
                state=UNDER_WAY[record.state],
                code=202,
                **({"changed": True} if record.state == "probation" else {}),
            )
        elif record.state == "committed":
            self.say("applied", 200, ())
        elif record.state == "failed" and record.outcome is not None:
            is_said = self.last is not None and self.last.errors
            flaws = None if problem is None or is_said else [Flaw(message=problem.message)]
            self.say(ENDED[record.outcome], 500 if problem is None else problem.code, flaws)
            if record.outcome in FAILED:
                self.last_failed = self.last
                self._tell()

    def _new(self, state: AttemptState, code: int, head: Desired | None, sha256: str) -> SettingsAttempt:
        return SettingsAttempt(
            issuer=None if head is None else head.issuer,
            epoch=None if head is None else head.epoch,
            counter=None if head is None else head.counter,
            envelope_sha256=sha256,
            address=None if head is None else head.address,
            state=state,
            changed=False,
            code=code,
            at=self._now(),
        )

    def _update(self, **update: Any) -> None:
        if self.last is not None:
            self._keep(self.last.model_copy(update={"at": self._now(), **update}))

    def _keep(self, said: SettingsAttempt, *, durable: bool = True) -> None:
        self.last = said
        if durable:
            self._tell()
        self._told()

    def _tell(self) -> None:
        if self.last is not None:
            failed = None if self.last_failed is None else self.last_failed.model_dump(mode="json")
            self._store.tell_attempted({**self.last.model_dump(mode="json"), "last_failed": failed})

    def _now(self) -> str:
        return rfc3339(self._clock.utc_now())


def _kept(found: Any) -> SettingsAttempt | None:
    try:
        return None if found is None else SettingsAttempt.model_validate(found)
    except ValueError:
        return None


def _problems(flaws: Sequence[Flaw]) -> tuple[ProblemReport, ...]:
    return tuple(ProblemReport(path=one.path, message=stored(one.message)) for one in flaws)
