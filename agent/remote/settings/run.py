"""One run of the agent, as far as a change of its settings needs it: proof, trial, and the way out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from agent.clock import Clock, new_uuid7
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.line.recipe import Recipe
from agent.remote.reporting import Reporter
from agent.remote.rollout.baseline import Baseline
from agent.remote.settings.apart import Look, Order, looked
from agent.remote.settings.blind import SizeOf, blind
from agent.remote.settings.desired import Flaw
from agent.remote.settings.target import Trial
from agent.remote.settings.trial import SettingsTrial, SettingsWitness, limits_of
from agent.remote.turns import Turns
from agent.settings.reach import changed
from agent.settings.settings import Settings
from agent.uplink.mqtt.link_state import LinkState

BROKER = {
    *("host", "port", "protocol", "username", "password_file"),
    *("tls", "ca_file", "cert_file", "key_file", "key_password_file"),
}
SANE = 100.0  # times the bundle's own threshold, and its inverse

NAMING_NOTHING = {
    ("revision",),
    ("judge",),
    ("crops",),
    ("logs",),
}  # a process would take longer than the change


class Publisher(Protocol):
    """The way to the broker."""

    def publish_reported(self, payload: bytes) -> None:
        """The retained report; the latest counts."""

    @property
    def state(self) -> LinkState:
        """How the connection is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsRun:
    """`recipe` makes one with the bundle of its settings, and tells that bundle's own threshold; it raises a
    PlumblineError. `look` is that of an order to another process.
    """

    reporter: Reporter
    publisher: Publisher
    cameras: Sequence[str]
    witness: SettingsWitness
    recipe: Callable[[Settings], tuple[Recipe, float]]
    look: Look
    clock: Clock
    in_force: Callable[[], str]  # the digest of the settings that the lines judge by
    turns: Turns
    silent: Callable[[], Collection[str]]  # cameras of which frames are to come, and do not
    size_of: SizeOf

    def publish(self, report: bytes) -> None:
        self.publisher.publish_reported(report)

    def prove(self, wanted: Settings, before: Settings) -> Sequence[Flaw]:
        """Everything that can be known before the line has them; what was not changed is not looked at.

        Raises HungError.
        """
        keys = tuple(changed(before, wanted))
        found = [*blind(wanted, before, self.size_of)]
        if any(one[:1] not in NAMING_NOTHING for one in keys):
            client_id = f"{wanted.identity.station}-{new_uuid7(self.clock)[-8:]}"
            found += looked(
                Order(
                    look=self.look,
                    wanted=wanted,
                    keys=keys,
                    client_id=client_id if _is_elsewhere(before, wanted) else None,
                )
            )
        try:
            found += _insane(*self.recipe(wanted))
        except PlumblineError as error:
            found.append(Flaw(message=shown(str(error))))
        return found

    def begin(self, take: Callable[[], None]) -> str | None:
        return self.turns.begin_settings(take)

    def baseline(self) -> Baseline | None:
        found, silent = self.witness.baseline(self.in_force()), self.silent()
        return found and replace(found, heard=tuple(one for one in self.cameras if one not in silent))

    def trial(self, wanted: Settings, before: Settings, baseline: Baseline | None) -> Trial:
        return SettingsTrial(
            sha256=wanted.digest(),
            witness=self.witness,
            baseline=baseline,
            limits=limits_of(wanted.remote.probation, changed(before, wanted)),
            missing=self._missing(wanted, before, () if baseline is None else baseline.heard),
            clock=self.clock,
            begun_ns=self.clock.monotonic_ns(),
        )

    def _missing(
        self, wanted: Settings, before: Settings, heard: Collection[str]
    ) -> Callable[[], str | None]:
        is_elsewhere = _is_elsewhere(before, wanted)
        awaited = [one.name for one in wanted.cameras if one not in before.cameras and one.name in heard]

        def missing() -> str | None:
            if is_elsewhere and not self.publisher.state.connects:
                return "the new broker was not reached"
            silent = self.silent()
            return next((f"camera {one} gave no frame" for one in awaited if one in silent), None)

        return missing


def _insane(recipe: Recipe, threshold: float) -> Iterable[Flaw]:
    for camera, rules in recipe.rules.items():
        ratio = rules.threshold / threshold
        if not 1 / SANE <= ratio <= SANE:
            yield Flaw(
                path="judge.threshold",
                message=f"camera {camera}: {rules.threshold:g} is {ratio:.3g} times the bundle's own, "
                f"{threshold:g}: everything would pass, or nothing; take one nearer to it",
            )


def _is_elsewhere(before: Settings, wanted: Settings) -> bool:
    """Whether another broker may answer, or this one otherwise."""
    return wanted.mqtt.model_dump(include=BROKER) != before.mqtt.model_dump(include=BROKER)
