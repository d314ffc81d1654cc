"""How each step of `flow.py` is done at a running station.

Collecting follows the lines; what judges and what trains runs apart, and gives way to them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from agent.clock import Clock
from agent.line.way import RightOfWay
from agent.messages import Pixels
from agent.settings.settings import Settings
from agent.teach.apart import teach_apart
from agent.teach.flow import Flow, Means
from agent.teach.order import Order
from agent.teach.own import OwnBundles
from agent.teach.state import FlowError, State, Told
from agent.teach.tap import Tap, Wish, from_line
from agent.teach.trained import to_train

OF_LINE = ("camera", "passed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judges:
    """What is in force: whose scores the threshold is for."""

    bundle_sha256: str
    engine: str


Activate: TypeAlias = Callable[[float, str, str], Mapping[str, Any]]  # a threshold, onto, who


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What they are done with."""

    tap: Tap
    settings: Callable[[], Settings]
    judges: Callable[[], Judges | None]
    activate: Activate
    own: OwnBundles
    way: RightOfWay
    clock: Clock

    def done(
        self, flow: Flow, *, who: str, onto: str | None, begun: Callable[[str], None]
    ) -> Generator[Told | None, None, None]:
        """Until a person has to decide; `activate` is done only onto the settings with digest `onto`.

        `begun` hears the transaction of a rollout. Raises PlumblineError.
        """
        while (state := flow.state()) is not None and state.step != "done":
            judges = self.judges()
            if judges is None:
                raise FlowError("no bundle is in force; install one first")
            if state.step == "activate":
                if onto is not None:
                    yield from flow.do(self._means(judges, state, who, onto, begun))
                return
            if state.step == "collect" and state.source in OF_LINE:
                yield from flow.do(self._means(judges, state, who, "", begun))
            elif to_train(flow, state):
                if (why := self.own.why_not()) is not None:
                    raise FlowError(why)
                yield Told(step="teach", done=0, of=0, words="the workshop starts")
                yield from self.own.train(flow)
            else:
                made = state.trained if state.step == "teach" else {}
                order = Order(
                    folder=str(flow.folder.absolute()),
                    bundle_sha256=made.get("sha256", judges.bundle_sha256),
                    engine=judges.engine,
                    trained=made.get("bundle"),
                    settings=self.settings().model_dump(mode="json"),
                )
                yield Told(step=state.step, done=0, of=0, words="its process starts")
                yield from teach_apart(order, way=self.way)

    def _means(
        self, judges: Judges, state: State, who: str, onto: str, begun: Callable[[str], None]
    ) -> Means:
        def adopted(
            trained: Mapping[str, Any], before: float | None, keep: Callable[[float | None], None]
        ) -> Iterator[Told]:
            nonlocal onto
            onto = yield from self.own.adopt(trained, onto, who, begun, before, keep)

        wish = Wish(camera=state.camera, only_passed=state.source == "passed")
        return Means(
            collect=lambda parts, wanted: from_line(parts, self.tap, wish, wanted, self.clock),
            judge=_judges_apart,
            bundle_sha256=judges.bundle_sha256,
            activate=lambda threshold: self.activate(threshold, onto, who),
            adopt=adopted,
        )


def _judges_apart(image: Pixels) -> float:
    raise FlowError("pictures are judged by the teaching process alone")
