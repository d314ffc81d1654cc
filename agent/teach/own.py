"""A product's own bundle at a station: whether one can be made here, its training, and having it serve."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from agent.contract.commands import NotDoneError
from agent.errors import PlumblineError
from agent.line.way import RightOfWay
from agent.remote.rollout.orders import Rollouts
from agent.settings.settings import Settings
from agent.teach import trained, workshop
from agent.teach.adopt import Station, adopt
from agent.teach.flow import Flow
from agent.teach.state import Told
from agent.teach.workshop import Hearing

COUNTER = 1  # of a bundle that the workshop makes unless it is told another

Train: TypeAlias = Callable[..., Hearing]  # as `workshop.train`


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnBundles:
    """What is asked at the station."""

    rollouts: Callable[[], Rollouts]
    settings: Callable[[], Settings]  # in force
    settings_sha256: Callable[[], str]
    settling: Callable[[], str | None]  # the state of settings that are under way
    serves: Callable[[], str | None]  # the digest of the bundle in force
    set_threshold: Callable[[float | None, str, str], Mapping[str, Any]]  # onto, who; raises NotDoneError
    way: RightOfWay
    find: Callable[[], Path] = workshop.find
    run: Train = workshop.train

    def why_not(self) -> str | None:
        """Why none can be made and served here; None where it can."""
        wanted = self.settings()
        trust = wanted.trust
        if trust.file is not None or trust.keys:
            setting = "trust.keys" if trust.file is None else "trust.file"
            return (
                f"only signed bundles run here ({setting}), and one that is trained here is not: make it "
                "with plumbline-lab teach, have it signed with plumbline-lab keys sign, and install it"
            )
        if trust.lowest_counter > COUNTER:
            return f"trust.lowest_counter is above {COUNTER}, the counter of bundles that are trained here"
        try:
            self.find()
        except PlumblineError as error:
            return str(error)
        return self.rollouts().why_closed

    def train(self, flow: Flow) -> Generator[Told | None, None, None]:
        """As `trained.train`, beside the lines."""
        return trained.train(flow, lambda wanted: self.run(wanted, self.find(), way=self.way))

    def cancel(self, transaction: str) -> None:
        """As far as the bundle has not come to the line. Raises NotDoneError."""
        said = self.rollouts().cancel(transaction)
        if said.code != 200:
            raise NotDoneError("impossible", f"the bundle is past that: {said.message}; roll it back instead")

    def adopt(
        self,
        made: Mapping[str, Any],
        onto: str,
        who: str,
        begun: Callable[[str], None],
        before: float | None,
        keep: Callable[[float | None], None],
    ) -> Generator[Told, None, str]:
        """As `adopt.adopt`; `begun` is told the transaction, which may be cancelled from then on."""
        there = Station(
            rollouts=self.rollouts(),
            serves=self.serves,
            threshold=lambda: self.settings().judge.threshold,
            settings=self.settings_sha256,
            settling=self.settling,
            set_threshold=lambda threshold, settings: self.set_threshold(threshold, settings, who),
            begun=begun,
        )
        return (yield from adopt(made, onto, there, before, keep))
