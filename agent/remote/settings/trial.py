"""Whether settings on probation do as well as those before: by the records that name them, and by the broker.

Thresholds that were changed move rejects and scores, and are meant to; then only errors and latency count.
A broker that was changed has to be reached in time, whatever the line does; a camera that was changed and
gave frames before has to give them again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from agent.clock import Clock
from agent.line.publish import Recorded
from agent.remote.rollout.baseline import Baseline, Sample, baseline_of, sample_of
from agent.remote.rollout.probation import Standing, Trial, assess, otherwise
from agent.settings.remote import Probation
from agent.settings.shape import Keys

RECENT = 1000  # records that health before is told by
REACH_S = 10.0  # the least that a broker or a camera is given
# Reasons that settings have in their hands: with these, a line that decides nothing does worse than before.
UNDECIDED = frozenset({"unknown_product", "all_ignored", "part_missing"})
JUDGES = ("judge", "recipes", "products", "bundle", "cameras")  # what may move scores and rejects on purpose


class SettingsWitness:
    """A listener of records, in the outbox's thread; asked by another."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._recent: deque[tuple[Sample, bool]] = deque(maxlen=RECENT)  # whether settings left it undecided

    def recorded(self, told: Recorded) -> None:
        """Costs the line an append."""
        verdict, at_ns = told.verdict, self._clock.monotonic_ns()
        sample, is_undecided = sample_of(verdict, at_ns), verdict.reason in UNDECIDED
        if is_undecided:
            sample = Sample(
                bundle=verdict.model.sha256,
                settings=verdict.settings.sha256,
                at_ns=at_ns,
                is_error=True,
                is_reject=False,
                latency_ms=0.0,
                score=None,
            )
        if sample is not None:
            # Here settings are what is judged, and the bundle is what must not change meanwhile.
            own = replace(sample, bundle=sample.settings, settings=sample.bundle)
            self._recent.append((own, is_undecided))

    def of(self, sha256: str, since_ns: int = 0, *, undecided: bool = True) -> list[Sample]:
        """Records by settings of this digest, later than then; what they left `undecided` is an error."""
        return [
            one
            for one, is_undecided in self._recent.copy()
            if one.bundle == sha256 and one.at_ns > since_ns and (undecided or not is_undecided)
        ]

    def baseline(self, sha256: str) -> Baseline | None:
        return baseline_of(self.of(sha256))


@dataclass(slots=True, kw_only=True)
class SettingsTrial:
    """`look` from one thread, now and then."""

    sha256: str
    witness: SettingsWitness
    baseline: Baseline | None
    limits: Probation
    missing: Callable[[], str | None]  # what is to be there again, and is not
    clock: Clock
    begun_ns: int
    trial: Trial = field(default_factory=Trial)
    is_complete: bool = False  # nothing was missing, once

    def look(self) -> Standing:
        """How they stand."""
        is_known = self.baseline is not None  # else nobody knows how many were undecided before
        for sample in self.witness.of(self.sha256, self.trial.last_ns or 0, undecided=is_known):
            self.trial = self.trial.after(sample, self.baseline, self.limits)
        standing = assess(self.trial, self.baseline, self.limits)
        if self.is_complete or standing.what == "breach":
            return standing
        missing = self.missing()
        self.is_complete = missing is None
        if missing is None:
            return standing
        given_s = max(REACH_S, self.limits.seconds)
        if self.clock.monotonic_ns() - self.begun_ns > given_s * 1e9:
            return Standing(what="breach", words=f"{missing} within {given_s:.0f} s")
        return Standing(what="goes_on", words=f"{missing} yet")

    def stands_s(self) -> float:
        """For how long nothing has counted."""
        since_ns = max(self.begun_ns, self.trial.last_ns or 0)
        return (self.clock.monotonic_ns() - since_ns) / 1e9


def limits_of(wanted: Probation, changed: Iterable[Keys]) -> Probation:
    """The limits on a change of these keys."""
    if all(keys[:1] and keys[0] not in JUDGES for keys in changed):
        return wanted
    return otherwise(wanted)
