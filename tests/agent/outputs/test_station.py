"""A whole station, a belt and a PLC in software: every bad part is pushed off, each push is a record."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.app import build
from agent.crew import Crew
from agent.running import App
from agent.settings import camera as camera_settings
from agent.settings import settings
from agent.settings.camera import GenicamSource
from agent.settings.outputs import EncoderTracking, ModbusGate, Output
from tests.agent.engines.small_bundle import write_small
from tests.agent.outputs.beltcamera import Line
from tests.agent.outputs.livedclock import lived_clock
from tests.agent.outputs.plc import ModbusPlc
from tests.brokers import HOST, eventually

pytestmark = pytest.mark.slow

GATE, HEARTBEAT = 16, 17
PERIOD_S = 0.1
DISTANCE_TICKS = 5120  # four seconds of belt: a loaded machine judges within it
WINDOW_TICKS = 64  # 50 ms, half the way to the next part


def wanted(folder: Path, plc: ModbusPlc, **more: Any) -> settings.Settings:
    output = Output(
        camera="top",
        tracking=EncoderTracking(distance_ticks=DISTANCE_TICKS, window_ticks=WINDOW_TICKS),
        pulse_ms=20,
        heartbeat_s=0.1,
        gate=ModbusGate(host=HOST, port=plc.port, coil=GATE, heartbeat_coil=HEARTBEAT, timeout_s=2.0),
        **{"fail_safe": "pass", **more},
    )
    return settings.Settings(
        bundle=write_small(folder / "small"),
        cameras=(
            camera_settings.Camera(
                name="top",
                source=GenicamSource(address="127.0.0.9", scan="line"),
                silence_timeout_s=0,
            ),
        ),
        engine=settings.Engine(kind="openvino", threads=1, cache=folder / "engines"),
        outbox=settings.Outbox(path=folder / "outbox.sqlite3", min_free_bytes=0),
        mqtt=settings.Mqtt(port=1),
        page=settings.Page(enabled=False),
        outputs=(output,),
    )


@dataclass
class Cell:
    app: App
    line: Line
    plc: ModbusPlc

    def rows(self, topic: str) -> list[dict[str, Any]]:
        """What lies in the outbox for a topic, in the order of commits."""
        with closing(sqlite3.connect(self.app.parts.uplink.outbox.path)) as file:
            found = file.execute("SELECT topic, payload FROM record ORDER BY seq").fetchall()
        return [json.loads(payload) for name, payload in found if name.rpartition(f"/{topic}")[1]]

    def of(self, cause: str) -> list[dict[str, Any]]:
        """Actuations of one cause."""
        return [row for row in self.rows("actuation") if row["cause"] == cause]


@contextmanager
def cell(folder: Path, line: Line, plc: ModbusPlc, **more: Any) -> Iterator[Cell]:
    crew = Crew()
    with lived_clock() as clock:
        plc.now_ns = clock.monotonic_ns
        app = build(wanted(folder, plc, **more), clock, crew, make=line.make)
        thread = threading.Thread(target=app.run)
        thread.start()
        try:
            yield Cell(app, line, plc)
        finally:
            crew.stop.set()
            thread.join(60)
        assert not thread.is_alive()


def test_every_bad_part_is_pushed_off_and_each_push_is_a_record_with_its_lateness(
    tmp_path: Path, plc: ModbusPlc
) -> None:
    bad = set(range(5, 40, 7))
    line = Line(blocks=75, period_s=PERIOD_S, bad=bad)
    with cell(tmp_path, line, plc) as one:
        eventually(lambda: len(one.of("verdict")) == len(bad), "all of them are recorded")
        eventually(lambda: plc.levels(GATE)[-1:] == [False], "the gate is shut again")
        view = one.app.parts.outputs.views()[0]
        verdicts = {each["frame"]["id"]: each for each in one.rows("verdict/top")}
    rows, every = one.of("verdict"), one.rows("actuation")
    # A loaded machine shuts the gate late; and the stop finds parts on their way.
    assert {row["cause"] for row in every} <= {"verdict", "neighbour", "stopped"}
    assert [row["sequence"] for row in every] == list(range(1, len(every) + 1))
    assert [row["frame_id"] for row in rows] == sorted(bad)
    for row in rows:
        assert (row["action"], row["cause"], row["verdict"]) == ("reject", "verdict", "fail")
        assert row["result_id"] == verdicts[row["frame_id"]]["result_id"]
        assert row["lateness_ms"] >= 0
    assert view["counts"]["reject/verdict"] == view["lateness_ms"]["count"] == len(bad)
    pushed_ns = [at_ns for at_ns, coil, level in plc.moved if coil == GATE and level]
    assert len(pushed_ns) == len(bad)
    for at_ns, number in zip(pushed_ns, sorted(bad), strict=True):
        early_s = (line.at_gate_ns(number, DISTANCE_TICKS) - at_ns) / 1e9
        assert early_s < 0.03, f"part {number} was pushed before it was at the gate"
    assert len(plc.levels(HEARTBEAT)) > 10


def test_a_plc_that_hangs_is_told_and_counted_and_the_line_goes_on_without_a_loss(
    tmp_path: Path, plc: ModbusPlc
) -> None:
    bad = set(range(60))
    line = Line(blocks=120, period_s=PERIOD_S, bad=bad)
    with cell(tmp_path, line, plc) as one:
        eventually(lambda: one.rows("actuation"), "the first one is pushed")
        plc.hang()
        eventually(lambda: any(each["event"] == "output_failing" for each in one.rows("event")), "it is told")
        eventually(
            lambda: any(each["action"] == "missed" for each in one.rows("actuation")), "a part is missed"
        )
        words = list(one.app.parts.outputs.words())
        plc.goes_on()
        eventually(
            lambda: any(each["event"] == "output_recovered" for each in one.rows("event")), "it is back"
        )
        eventually(lambda: len(one.rows("actuation")) >= len(bad), "all of them are recorded")
        eventually(lambda: len(one.rows("verdict/top")) == line.blocks, "every part has its verdict")
    assert any("did not answer within 2 s" in each for each in words)
    rows = one.rows("actuation")
    firsts = [row for row in rows if row["cause"] not in ("neighbour", "late_verdict", "stopped")]
    ended = [row["frame_id"] for row in firsts]
    assert len(set(ended)) == len(ended) and bad <= set(ended)
    missed = [row for row in rows if row["action"] == "missed"]
    assert {row["cause"] for row in missed} <= {"gate", "too_late"}
    events = {each["event"]: each for each in one.rows("event")}
    assert events["output_failing"]["severity"] == events["output_late"]["severity"] == "alarm"
    sequences = [each["sequence"] for each in one.rows("verdict/top")]
    assert sequences == list(range(1, len(sequences) + 1))


def test_a_stop_leaves_the_gate_open_where_the_settings_say_so_and_names_who_was_on_the_way(
    tmp_path: Path, plc: ModbusPlc
) -> None:
    line = Line(blocks=60, period_s=PERIOD_S, bad={2, 58, 59})
    with cell(tmp_path, line, plc, fail_safe="reject") as one:
        eventually(lambda: line.given == line.blocks, "all have passed the camera")
        eventually(lambda: len(one.rows("verdict/top")) == line.blocks, "and are judged")
    stopped = {row["frame_id"] for row in one.rows("actuation") if row["cause"] == "stopped"}
    assert stopped == {58, 59}
    assert plc.levels(GATE)[0] is True and plc.levels(GATE)[-1] is True
