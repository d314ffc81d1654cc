"""All outputs of a station: told of triggers, readings and records, they have each gate moved at its moment.

Triggers and readings come from the cameras' threads, records from the outbox's after their commit; none of
them waits here. Each output has a thread of its own, and what they did is told by one more (`telling.py`).
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.cameras.supervisor import Ring
from agent.clock import Clock
from agent.contract.events import EventMaker
from agent.contract.part import PartVerdict
from agent.contract.row import Row
from agent.contract.samples import Sample
from agent.line.publish import Recorded
from agent.messages import Frame, Item
from agent.outputs.account import Account
from agent.outputs.belt import Reading
from agent.outputs.gate import Gate
from agent.outputs.nouns import Decision, Rule, Trigger, Unplaced
from agent.outputs.schedule import Schedule
from agent.outputs.telling import Telling
from agent.outputs.worker import Worker
from agent.settings.outputs import EncoderTracking, Output, TimeTracking

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _One:
    settings: Output
    worker: Worker
    account: Account


class Outputs:
    """Made and not started; `members` are for the crew."""

    def __init__(self, ones: Sequence[_One], telling: Telling, clock: Clock, *, boot_id: str) -> None:
        self._ones = ones
        self._boot_id = boot_id
        self._telling = telling
        self._clock = clock
        self._by_camera: Mapping[str, Sequence[_One]] = _by_camera(ones)
        self._ends = {name: BlockEnd() for name in self._by_camera}

    def members(self) -> Iterable[tuple[str, Callable[[threading.Event], None]]]:
        """Names and what they run; none where there is no output. What tells ends last."""
        if not self._ones:
            return
        accounts = [one.account for one in self._ones]
        ended = [one.worker.ended for one in self._ones]
        yield "outputs", lambda stop: self._telling.run(stop, accounts, ended)
        for one in self._ones:
            yield f"output-{one.settings.name}", one.worker.run

    def came(self, item: Item) -> None:
        """A camera gave this, before it becomes windows or parts; from its thread."""
        if item.camera not in self._by_camera or not isinstance(item, Frame) or item.encoder is None:
            return
        count = self._ends[item.camera].count(item)
        for one in self._by_camera[item.camera]:
            sign = _sign(one.settings)
            one.worker.hear(Reading(count=sign * count, at_ns=item.captured_ns, epoch=item.epoch))

    def seen(self, item: Item) -> None:
        """A trigger, which gets a record, is on its way to the line; from its camera's thread."""
        for one in self._by_camera.get(item.camera, ()):
            encoder = None if item.encoder is None else _sign(one.settings) * item.encoder
            one.worker.hear(Trigger(frame_id=item.frame_id, captured_ns=item.captured_ns, encoder=encoder))

    def recorded(self, told: Recorded) -> None:
        """A record is durable."""
        verdict = told.verdict
        for one in self._by_camera.get(verdict.camera, ()):
            if one.settings.decides == "part":
                continue
            one.worker.hear(
                Decision(
                    frame_id=told.item.frame_id,
                    verdict=verdict.verdict,
                    at_ns=self._clock.monotonic_ns(),
                    result_id=verdict.result_id,
                    part_id=verdict.part_id,
                    is_simulated=verdict.is_simulated,
                )
            )

    def part_decided(self, part: PartVerdict) -> None:
        """A part verdict is durable: it decides where the part is by the view of each output's own camera."""
        seen = {view.camera: view for view in part.views}
        for one in self._ones:
            camera = one.settings.camera
            if one.settings.decides != "part" or camera not in part.cameras:
                continue
            if (view := seen.get(camera)) is not None:
                if view.boot_id != self._boot_id:  # cameras count anew: its number is another part's now
                    continue
                one.worker.hear(
                    Decision(
                        frame_id=view.frame_id,
                        verdict=part.verdict,
                        at_ns=self._clock.monotonic_ns(),
                        result_id=view.result_id,
                        part_id=part.part_id,
                        part_result_id=part.result_id,
                        is_simulated=part.is_simulated,
                    )
                )
            elif part.verdict in one.settings.rejects and part.late_for is None:
                self._telling.tell(
                    one.account,
                    Unplaced(
                        verdict=part.verdict,
                        part_id=part.part_id,
                        part_result_id=part.result_id,
                        is_simulated=part.is_simulated,
                        detail=f"camera {camera} gave no view of it",
                    ),
                )

    def words(self) -> Iterable[str]:
        """What stands against them, one sentence each."""
        for one in self._ones:
            yield from one.account.words()

    def samples(self) -> Iterable[Sample]:
        """What was counted."""
        for one in self._ones:
            name = one.settings.name
            for (action, cause), count in one.account.counts().items():
                yield Sample("output_actuations", count, (name, action, cause))
            yield Sample("output_lateness_seconds", one.account.lateness(), (name,))
            yield Sample("output_passed", one.worker.passed, (name,))
            yield Sample("output_under_way", one.worker.under_way, (name,))
            yield Sample("output_reachable", one.account.trouble is None, (name,))
            yield Sample("output_failures", one.worker.failures, (name,))
            yield Sample("output_encoder_resets", one.worker.resets, (name,))

    def views(self) -> Sequence[Mapping[str, Any]]:
        """For the page."""
        return [
            {**one.account.view(), "under_way": one.worker.under_way, "passed": one.worker.passed}
            for one in self._ones
        ]


@dataclass(slots=True)
class BlockEnd:
    """The encoder count when a block was there: it is read at the first line, and came after the last.

    How far the belt goes on over a block is taken from the two before; pictures of area cameras have no
    first line that moves, and their count is that of the picture.
    """

    before: Frame | None = None

    def count(self, block: Frame) -> int:
        before, self.before = self.before, block
        assert block.encoder is not None
        if before is None or before.encoder is None or block.epoch != before.epoch:
            return block.encoder
        lines = block.first_line - before.first_line
        if lines <= 0:
            return block.encoder
        return block.encoder + round((block.encoder - before.encoder) / lines * len(block.image))


@dataclass(slots=True)
class Watched:
    """A ring before which outputs are told, once, of each trigger that goes into it."""

    ring: Ring
    outputs: Outputs
    told: Item | None = None

    def put(self, item: Item, timeout_s: float | None = None) -> bool:
        if item is not self.told:  # one that finds no room comes again
            self.told = item
            self.outputs.seen(item)
        return self.ring.put(item, timeout_s)

    def close(self) -> None:
        self.ring.close()


def rule_of(output: Output) -> Rule:
    """What the settings ask of the schedule."""
    match output.tracking:
        case EncoderTracking() as tracking:
            distance, window = abs(tracking.distance_ticks), tracking.window_ticks
        case TimeTracking() as tracking:
            distance = round(tracking.distance_ms * NS_PER_MS)
            window = round(tracking.window_ms * NS_PER_MS)
    return Rule(
        by=output.tracking.kind,
        distance=distance,
        window=window,
        rejects=frozenset(output.rejects),
        when_late=output.when_late,
        pulse_ns=round(output.pulse_ms * NS_PER_MS),
    )


def make_outputs(
    wanted: Sequence[Output],
    *,
    make_gate: Callable[[Output], Gate],
    sees: Callable[[str], bool],
    events: EventMaker,
    append: Callable[[Row], object],
    station: str,
    boot_id: str,
    clock: Clock,
    new_id: Callable[[], str],
) -> Outputs:
    """Of a station whose outbox is open; `sees` says whether a camera gives frames, and never waits.

    Raises GateError where a package is missing.
    """
    telling = Telling(
        events=events, append=append, station=station, boot_id=boot_id, clock=clock, new_id=new_id
    )
    return Outputs(
        [_made(one, make_gate(one), telling, clock, sees) for one in wanted], telling, clock, boot_id=boot_id
    )


def _made(output: Output, gate: Gate, telling: Telling, clock: Clock, sees: Callable[[str], bool]) -> _One:
    account = Account(name=output.name, camera=output.camera)
    is_open = output.fail_safe == "reject"
    worker = Worker(
        output.name,
        Schedule(rule=rule_of(output), gaps=(frozenset(),) if is_open else ()),
        gate,
        clock=clock,
        rng=random.Random(),
        tell=lambda told: telling.tell(account, told),
        fail_safe=is_open,
        inverted=output.inverted,
        heartbeat_s=output.heartbeat_s,
        sees=lambda: sees(output.camera),
    )
    return _One(settings=output, worker=worker, account=account)


def _sign(output: Output) -> int:
    tracking = output.tracking
    return -1 if isinstance(tracking, EncoderTracking) and tracking.distance_ticks < 0 else 1


def _by_camera(ones: Sequence[_One]) -> Mapping[str, Sequence[_One]]:
    found: defaultdict[str, list[_One]] = defaultdict(list)
    for one in ones:
        found[one.settings.camera].append(one)
    return dict(found)
