"""Triggers, readings and records reach the outputs of their camera, once, in the direction that parts go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from agent.clock import ManualClock
from agent.contract.events import EventMaker
from agent.contract.part import PartVerdict, PartVerdictName
from agent.messages import Frame
from agent.outputs.belt import Reading
from agent.outputs.gate import GateError
from agent.outputs.genicam import Cameras
from agent.outputs.make import make_gate
from agent.outputs.nouns import Decision, Trigger
from agent.outputs.outputs import BlockEnd, Outputs, Watched, make_outputs, rule_of
from agent.schemas import examples
from agent.settings.outputs import EncoderTracking, GpioGate, ModbusGate, OpcUaGate, Output, TimeTracking
from tests.agent.outbox.rows import TOPICS
from tests.agent.outputs.gates import FakeGate
from tests.agent.outputs.playing import MS
from tests.fakes import NOON, fault


def block(number: int, *, lines: int = 10, encoder: int | None = None, camera: str = "top") -> Frame:
    return Frame(
        camera=camera,
        frame_id=number,
        image=np.zeros((lines, 4, 1), np.uint8),
        captured_ns=number * MS,
        captured_at=NOON,
        first_line=number * lines,
        encoder=encoder,
    )


def output(name: str = "reject", distance: int = 1000, camera: str = "top") -> Output:
    return Output(
        name=name,
        camera=camera,
        tracking=EncoderTracking(distance_ticks=distance, window_ticks=10),
        gate=ModbusGate(coil=1),
    )


def made(*wanted: Output) -> Outputs:
    clock = ManualClock()
    return make_outputs(
        wanted,
        make_gate=lambda one: FakeGate(clock),
        sees=lambda camera: True,
        events=EventMaker(TOPICS, boot_id="boot", clock=clock, new_id=lambda: "id"),
        append=lambda row: None,
        station="cell3-cam1",
        boot_id="boot",
        clock=clock,
        new_id=lambda: "id",
    )


def heard(outputs: Outputs, place: int = 0) -> list[object]:
    return list(outputs._ones[place].worker._heard)


def test_what_a_camera_gives_reaches_its_own_outputs_only() -> None:
    outputs = made(output("a"), output("b"), output("c", camera="side"))
    outputs.came(block(0, encoder=5))
    outputs.seen(block(0, encoder=5))
    assert (
        heard(outputs, 0)
        == heard(outputs, 1)
        == [
            Reading(count=5, at_ns=0),
            Trigger(frame_id=0, captured_ns=0, encoder=5),
        ]
    )
    assert heard(outputs, 2) == []


def test_counts_that_go_down_as_parts_go_forward_are_turned() -> None:
    outputs = made(output(distance=-1000))
    outputs.came(block(0, encoder=500))
    outputs.seen(block(0, encoder=500))
    assert heard(outputs) == [
        Reading(count=-500, at_ns=0),
        Trigger(frame_id=0, captured_ns=0, encoder=-500),
    ]


def test_a_trigger_without_a_picture_is_a_part_all_the_same_and_no_reading() -> None:
    outputs = made(output())
    outputs.came(fault(3))
    outputs.came(block(4))
    outputs.seen(fault(3))
    assert heard(outputs) == [Trigger(frame_id=3, captured_ns=0)]


def test_the_count_at_a_blocks_end_goes_on_as_it_did_over_the_block_before() -> None:
    end = BlockEnd()
    assert end.count(block(0, encoder=100)) == 100  # nothing to go by
    assert end.count(block(1, encoder=140)) == 180
    assert end.count(block(2, lines=10, encoder=150)) == 160
    assert end.count(block(3, encoder=150)) == 150
    assert end.count(replace(block(4, encoder=7), epoch=1)) == 7
    area = BlockEnd()
    for number in range(3):
        assert area.count(replace(block(number, encoder=50 * number), first_line=0)) == 50 * number


class FullRing:
    """Takes a trigger at the third try."""

    def __init__(self) -> None:
        self.tries = 0
        self.closed = False

    def put(self, item: object, timeout_s: float | None = None) -> bool:
        self.tries += 1
        return self.tries % 3 == 0

    def close(self) -> None:
        self.closed = True


def test_a_trigger_that_waits_for_room_is_told_once() -> None:
    outputs, ring = made(output()), FullRing()
    watched = Watched(ring, outputs)
    for number in range(2):
        item = block(number, encoder=number)
        assert [watched.put(item, 0.1) for _ in range(3)] == [False, False, True]
    watched.close()
    assert [one.frame_id for one in heard(outputs) if isinstance(one, Trigger)] == [0, 1] and ring.closed


def test_rules_are_in_ticks_or_nanoseconds() -> None:
    rule = rule_of(output(distance=-700))
    assert (rule.by, rule.distance, rule.window, rule.pulse_ns) == ("encoder", 700, 10, 50 * MS)
    timed = Output(
        camera="top", tracking=TimeTracking(distance_ms=850.5, window_ms=0.5), gate=ModbusGate(coil=1)
    )
    rule = rule_of(timed)
    assert (rule.by, rule.distance, rule.window) == ("time", 850_500_000, 500_000)


def part(verdict: PartVerdictName = "fail", *, cameras: Sequence[str] = ("top", "side")) -> PartVerdict:
    """The example of the schemas, seen by some of its cameras; the view of `top` is frame 99172."""
    whole = examples.part()
    views = tuple(view for view in whole.views if view.camera in cameras)
    missing = tuple(name for name in whole.cameras if name not in cameras)
    views = tuple(view.model_copy(update={"boot_id": "boot"}) for view in views)
    return whole.model_copy(update={"verdict": verdict, "views": views, "missing": missing})


def of_parts(name: str = "reject", camera: str = "top") -> Output:
    return output(name, camera=camera).model_copy(update={"decides": "part"})


def test_an_output_that_acts_on_parts_places_each_by_the_view_of_its_own_camera() -> None:
    outputs = made(of_parts(), of_parts("b", "side"), output("c"))
    whole = part()
    outputs.part_decided(whole)
    for place, view in enumerate(whole.views):
        (one,) = heard(outputs, place)
        assert isinstance(one, Decision)
        assert (one.frame_id, one.result_id) == (view.frame_id, view.result_id)
        assert (one.verdict, one.part_result_id, one.part_id) == ("fail", whole.result_id, whole.part_id)
    assert heard(outputs, 2) == []


def test_a_part_that_was_seen_before_the_agent_started_decides_of_none_that_has_its_number_now() -> None:
    outputs = made(of_parts())
    whole = part("pass")
    before = tuple(view.model_copy(update={"boot_id": "of-before"}) for view in whole.views)
    outputs.part_decided(whole.model_copy(update={"views": before}))
    assert heard(outputs) == [] and outputs._telling._told.qsize() == 0


@pytest.mark.parametrize(("verdict", "told"), [("fail", 1), ("undecided", 1), ("pass", 0)])
def test_a_part_without_a_view_of_the_outputs_camera_is_told_where_it_was_to_be_rejected(
    verdict: PartVerdictName, told: int
) -> None:
    outputs = made(of_parts())
    outputs.part_decided(part(verdict, cameras=("side",)))
    assert heard(outputs) == [] and outputs._telling._told.qsize() == told
    late = part(verdict, cameras=("side",)).model_copy(update={"late_for": "part-1"})
    outputs.part_decided(late)  # of a part that was told before
    assert outputs._telling._told.qsize() == told


def test_without_outputs_there_is_no_thread_and_nothing_to_say() -> None:
    outputs = made()
    assert list(outputs.members()) == [] and list(outputs.words()) == [] and outputs.views() == []
    assert [name for name, _ in made(output("a"), output("b")).members()] == [
        "outputs",
        "output-a",
        "output-b",
    ]


@pytest.mark.parametrize(
    ("gate", "kind"),
    [
        (ModbusGate(coil=1), "ModbusCoil"),
        (OpcUaGate(url="opc.tcp://plc", node="ns=2;s=G"), "OpcUaVariable"),
        (GpioGate(line=1), "GpioLine"),
    ],
)
def test_each_kind_of_gate_has_its_own_and_none_is_opened_yet(gate: object, kind: str) -> None:
    one = output().model_copy(update={"gate": gate})
    assert type(make_gate(one, Cameras())).__name__ == kind


def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "agent.outputs.gpio", None)
    monkeypatch.delitem(sys.modules, "agent.outputs.gpio", raising=False)
    monkeypatch.setitem(sys.modules, "gpiod", None)
    one = output().model_copy(update={"gate": GpioGate(line=1)})
    with pytest.raises(GateError, match=r"needs the package gpiod; install plumbline\[gpio\]"):
        make_gate(one, Cameras())
