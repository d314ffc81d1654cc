"""Views go in and part verdicts come out, each once and in its number, wherever the room's thread ends."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.clock import ManualClock
from agent.contract.part import PartVerdict
from agent.contract.payloads import verdict_row
from agent.contract.row import Waiting
from agent.line.publish import ListenerError
from agent.parts import intake
from agent.parts.file import DamagedPartsError, PartsError, place
from agent.parts.parts import PartVerdicts, make_part_verdicts
from agent.parts.view import Rule
from tests.agent.outbox.rows import TOPICS
from tests.agent.parts.station import Station
from tests.agent.parts.views import rule
from tests.agent.uplink.test_uplink import settings

RULE = rule("part_id")


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    one = Station(tmp_path, [RULE], clock=ManualClock()).open()
    one.turn()
    yield one
    one.close()


def again(station: Station, rules: list[Rule] | None = None) -> None:
    """Another room over the same files, after the one before ended in whatever state; the outbox goes on."""
    station.parts._file.close()  # as the system does with what a process had open
    station.rules = rules or [RULE]
    station.boot_id = f"{station.boot_id}+"
    station.make_room()


def test_a_part_is_a_row_of_its_own_with_its_views_by_name(station: Station) -> None:
    top = station.record("top", "A")
    other = station.record("elsewhere", "A")
    side = station.record("side", "A", "fail")
    station.turn()
    (part,) = station.told()
    assert (part.sequence, part.rule, part.verdict, part.boot_id) == (1, "housing", "fail", "boot-1")
    assert [(one.camera, one.sequence, one.result_id) for one in part.views] == [
        ("top", top.sequence, top.result_id),
        ("side", side.sequence, side.result_id),
    ]
    found = station.outbox.find(part.result_id)
    assert isinstance(found, Waiting) and other.sequence == 2
    assert (found.row.topic, found.row.kind) == (TOPICS.part("housing"), "event")
    assert ("type", "plumbline.part/1") in found.row.properties


def test_a_view_that_does_not_come_is_told_at_the_time_out(station: Station) -> None:
    station.record("top", "A")
    station.turn()
    station.clock.sleep(0.99)
    station.turn()
    assert station.told() == []
    station.clock.sleep(0.01)
    station.turn()
    (part,) = station.told()
    assert (part.verdict, part.reason, part.missing) == ("undecided", "view_missing", ("side",))


def test_numbers_have_no_gap_over_many_parts_and_restarts(station: Station) -> None:
    for number in range(30):
        station.record("side", f"P{number}")
        station.record("top", f"P{number}")
        if number % 7 == 0:
            again(station)
        station.turn()
    assert [part.sequence for part in station.told()] == [*range(1, 31)]
    assert {part.verdict for part in station.told()} == {"pass"}


def test_what_was_recorded_while_the_room_did_not_run_is_read_from_the_outbox(station: Station) -> None:
    station.record("top", "A")
    station.tells = False
    station.record("side", "A")
    for number in range(200):
        station.record("top" if number % 2 else "side", f"P{number // 2}")
    again(station)
    station.turn()
    assert len(station.told()) == 101
    assert {part.verdict for part in station.told()} == {"pass"}


def test_a_queue_that_is_full_costs_no_view(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(station.parts._intake._come, "maxsize", 5)
    for number in range(20):
        station.record("top", f"P{number}")
        station.record("side", f"P{number}")
    station.turn()
    station.turn()
    assert [part.verdict for part in station.told()] == ["pass"] * 20


class CutError(Exception):
    """The process ends here."""


class Cuts:
    """Ends the room before or after its nth step that anybody else could see."""

    def __init__(self, room: PartVerdicts, at: int) -> None:
        self.left = at
        self.done = False
        self.undo: list[tuple[object, str, Callable[..., Any]]] = []
        for owner, name in ((room._file, "keep"), (room._outbox, "append")):
            self._wrap(owner, name)

    def _wrap(self, owner: object, name: str) -> None:
        plain = getattr(owner, name)

        def cut(*args: Any, **named: Any) -> Any:
            self._step()
            answer = plain(*args, **named)
            if name == "append":
                answer.result(10.0)
            self._step()
            return answer

        setattr(owner, name, cut)
        self.undo.append((owner, name, plain))

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.done = True
            raise CutError

    def over(self) -> None:
        for owner, name, plain in self.undo:
            setattr(owner, name, plain)


SCRIPT = [("top", "A"), ("side", "A"), None, ("top", "B"), None, ("side", "B"), ("top", "C"), None, "late"]


def lived(station: Station, cut_at: int) -> bool:
    """The script, with the room cut once at that step; whether there was such a step."""
    cuts = Cuts(station.parts, cut_at)
    for step in SCRIPT:
        if isinstance(step, tuple):
            verdict = station.verdict(*step)
            plain = next(plain for owner, name, plain in cuts.undo if name == "append")
            append, station.outbox.append = station.outbox.append, plain  # type: ignore[method-assign]
            station.append(verdict).result(10.0)
            station.outbox.append = append  # type: ignore[method-assign]
            continue
        if step == "late":
            station.clock.sleep(1.5)
        try:
            station.turn()
        except CutError:
            cuts.over()
            again(station)
            station.turn()
    cuts.over()
    station.clock.sleep(1.5)
    station.turn()
    return cuts.done


def test_cut_at_every_step_each_view_is_named_once_and_each_number_given_once(tmp_path: Path) -> None:
    at = 0
    while True:
        at += 1
        folder = tmp_path / str(at)
        folder.mkdir()
        station = Station(folder, [RULE], clock=ManualClock()).open()
        station.turn()
        was_cut = lived(station, at)
        told = station.told()
        assert [part.sequence for part in told] == [1, 2, 3], at
        assert [(part.part_id, part.verdict) for part in told] == [
            ("A", "pass"),
            ("B", "pass"),
            ("C", "undecided"),
        ], at
        assert set(Counter(view.result_id for part in told for view in part.views).values()) == {1}
        assert len({part.result_id for part in told}) == 3
        station.close()
        if not was_cut:
            break
    assert at > 10, "it was cut in many places"


def test_a_disk_that_takes_nothing_for_a_while_costs_time_and_no_view(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    station.record("top", "A")
    station.record("side", "A")
    keep, failures = station.parts._file.keep, [PartsError("full"), PartsError("full")]

    def full(*args: object) -> None:
        if failures:
            raise failures.pop()
        keep(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(station.parts._file, "keep", full)
    for _ in range(2):
        with pytest.raises(PartsError):
            station.turn()
        station.record("top", "B")
    station.turn()
    (part,) = station.told()[:1]
    assert (part.sequence, part.verdict, part.part_id) == (1, "pass", "A")


def test_a_disk_that_takes_nothing_for_long_costs_a_bounded_memory_and_no_view(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "VIEWS_WAITING", 4)
    keep = station.parts._file.keep

    def full(*args: object) -> None:
        raise PartsError("full")

    monkeypatch.setattr(station.parts._file, "keep", full)
    for number in range(20):
        station.record("top", str(number))
        station.record("side", str(number))
        with pytest.raises(PartsError):
            station.turn()
        assert len(station.parts._intake.at_hand) <= 6
    monkeypatch.setattr(station.parts._file, "keep", keep)
    while len(station.told()) < 20:
        station.turn()
    assert all(part.verdict == "pass" for part in station.told())


def test_views_that_the_outbox_has_no_more_are_counted_and_told(station: Station) -> None:
    station.record("top", "A")
    station.turn()
    station.tells = False
    lost = station.record("side", "A")
    with sqlite3.connect(station.outbox.path) as database:
        for table in ("waiting", "record"):
            where = "seq = (SELECT seq FROM record WHERE id = ?)"
            database.execute(f"DELETE FROM {table} WHERE {where}", (lost.result_id,))
    station.record("top", "B")
    again(station)
    station.turn()
    station.clock.sleep(1.0)
    station.turn()
    assert [(one.part_id, one.reason) for one in station.told()] == [
        ("A", "view_missing"),
        ("B", "view_missing"),
    ]
    assert station.outbox.settle(5.0)
    assert events_of(station, "part_views_lost")[0]["data"]["lost"] == 1


def test_a_verdict_of_another_version_is_counted_as_one_that_was_not_seen(station: Station) -> None:
    station.record("top", "A")
    station.turn()
    row = verdict_row(TOPICS, station.verdict("side", "A"))
    later = json.dumps({**json.loads(row.payload), "verdict": "maybe"}).encode()
    station.outbox.append([replace(row, payload=later)]).result(10.0)
    again(station)
    station.turn()
    station.clock.sleep(1.0)
    station.turn()
    assert [one.reason for one in station.told()] == ["view_missing"]
    assert {one.name: one.value for one in station.parts.counts.samples()}["part_views_lost"] == 1


def test_a_damaged_file_is_moved_away_and_numbers_go_on_behind_it(station: Station) -> None:
    station.record("top", "A")
    station.record("side", "A")
    station.turn()
    station.record("top", "B")
    station.turn()
    path = place(station.outbox.path)
    station.parts._file.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    again(station)
    station.turn()
    assert [*station.folder.glob("*-parts.sqlite3.damaged-*")]
    station.record("top", "C")
    station.record("side", "C")
    station.turn()
    first, second = station.told()
    assert (first.sequence, second.part_id) == (1, "C") and second.sequence > 1
    assert events_of(station, "parts_set_aside")[0]["severity"] == "alarm"


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 300])
def test_a_file_that_is_no_database_is_moved_away_or_begun(tmp_path: Path, content: bytes) -> None:
    place(tmp_path / "outbox.sqlite3").write_bytes(content)
    station = Station(tmp_path, [RULE], clock=ManualClock()).open()
    station.turn()
    station.record("top", "A")
    station.record("side", "A")
    station.turn()
    assert [part.verdict for part in station.told()] == ["pass"]
    assert bool([*tmp_path.glob("*.damaged-*")]) == bool(content)
    station.close()


def test_another_programs_database_is_left_alone_and_said(tmp_path: Path) -> None:
    path = place(tmp_path / "outbox.sqlite3")
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE somebodys (thing TEXT)")
    station = Station(tmp_path, [RULE], clock=ManualClock()).open()
    with pytest.raises(PartsError, match="another program's database; move it away"):
        station.turn()
    path.unlink()
    station.turn()
    station.close()


def test_a_rule_that_changed_decides_what_it_left_open_and_begins_anew(station: Station) -> None:
    station.record("top", "A")
    station.turn()
    again(station, [rule("part_id", cameras=("top", "side", "back"))])
    station.turn()
    (part,) = station.told()
    assert (part.reason, part.cameras) == ("view_missing", ("top", "side"))
    for camera in ("top", "side", "back"):
        station.record(camera, "B")
    station.turn()
    assert station.told()[-1].verdict == "pass"


def test_what_the_last_rule_left_open_is_told_when_there_is_none_any_more(station: Station) -> None:
    left = station.record("top", "A")
    station.turn()
    station.parts.finish()
    none_left = make_part_verdicts(
        settings(station.outbox.path, 1),
        station.outbox,
        station.events,
        boot_id="boot-2",
        clock=station.clock,
        clock_synced=lambda: True,
    )
    assert none_left is not None
    station.parts = none_left
    station.turn()
    (part,) = station.told()
    assert (part.rule, part.reason) == (RULE.name, "view_missing")
    assert [view.result_id for view in part.views] == [left.result_id]


def test_a_station_that_never_had_a_rule_has_no_part_verdicts(tmp_path: Path, station: Station) -> None:
    other = settings(tmp_path / "other.sqlite3", 1)
    assert (
        make_part_verdicts(
            other,
            station.outbox,
            station.events,
            boot_id="boot",
            clock=station.clock,
            clock_synced=lambda: True,
        )
        is None
    )


def test_a_file_that_is_damaged_while_it_is_open_is_begun_anew_with_all_that_is_known(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    station.record("top", "A")
    station.turn()
    keep, failures = station.parts._file.keep, [DamagedPartsError("malformed")]

    def damaged(*args: object) -> None:
        if failures:
            raise failures.pop()
        keep(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(station.parts._file, "keep", damaged)
    station.record("top", "B")
    with pytest.raises(DamagedPartsError):
        station.turn()
    again(station)
    station.record("side", "A")
    station.record("side", "B")
    station.turn()
    assert [(part.part_id, part.verdict) for part in station.told()] == [("A", "pass"), ("B", "pass")]
    assert len(events_of(station, "parts_set_aside")) == 1


def test_an_older_copy_of_the_file_gives_no_part_and_no_number_twice(station: Station) -> None:
    """Its parts would come to the outbox a second time, which takes that for damage of its own."""
    path = place(station.outbox.path)
    station.record("top", "A")
    station.turn()
    station.parts.finish()
    copy = path.read_bytes()
    again(station)
    station.turn()
    for camera, part in (("side", "A"), ("top", "B"), ("side", "B")):
        station.record(camera, part)
    station.turn()
    station.parts.finish()
    path.write_bytes(copy)
    again(station)
    station.turn()
    station.record("top", "C")
    station.record("side", "C")
    station.turn()
    told = station.told()
    assert [part.part_id for part in told] == ["A", "B", "C"]
    assert len({part.sequence for part in told}) == 3 and told[2].sequence > told[1].sequence
    assert "older copy" in events_of(station, "parts_set_aside")[0]["detail"]


def test_another_outbox_that_counts_anew_is_followed(tmp_path: Path) -> None:
    station = Station(tmp_path, [RULE], clock=ManualClock()).open()
    for number in range(5):
        station.record("top", f"P{number}")
    station.turn()
    station.close()
    for file in tmp_path.glob("outbox.sqlite3*"):
        if "parts" not in file.name:
            file.unlink()
    station = Station(tmp_path, [RULE], clock=ManualClock(), boot_id="boot-2").open()
    station.turn()
    station.record("top", "A")
    station.record("side", "A")
    station.turn()
    assert ("A", "pass") in [(part.part_id, part.verdict) for part in station.told()]
    station.close()


class SteppingClock(ManualClock):
    """Whose wall clock somebody sets."""

    off = timedelta()

    def utc_now(self) -> datetime:
        return super().utc_now() + self.off


def test_no_step_of_the_wall_clock_decides_anything(tmp_path: Path) -> None:
    clock = SteppingClock()
    station = Station(tmp_path, [RULE], clock=clock).open()
    station.turn()
    for number, off in enumerate((timedelta(days=400), timedelta(days=-900), timedelta(hours=2))):
        station.record("top", f"P{number}")
        station.turn()
        clock.off += off
        station.turn()
        station.record("side", f"P{number}")
        station.turn()
    assert [(part.sequence, part.verdict) for part in station.told()] == [
        (1, "pass"),
        (2, "pass"),
        (3, "pass"),
    ]
    station.record("top", "A")
    station.turn()
    clock.off += timedelta(days=30)
    station.turn()
    assert len(station.told()) == 3
    clock.sleep(1.0)
    station.turn()
    assert station.told()[-1].reason == "view_missing"
    station.close()


class Raises:
    def __init__(self) -> None:
        self.heard: list[PartVerdict] = []

    def part_decided(self, part: PartVerdict) -> None:
        self.heard.append(part)
        raise ZeroDivisionError("a bug")


def test_a_listener_hears_what_is_durable_and_one_that_raises_ends_the_thread_not_the_outbox(
    tmp_path: Path,
) -> None:
    listener = Raises()
    station = Station(tmp_path, [RULE], clock=ManualClock(), listeners=[listener]).open()
    station.turn()
    station.record("top", "A")
    station.record("side", "A")
    with pytest.raises(ListenerError, match=r"Raises raised ZeroDivisionError.*which is kept"):
        station.turn()
    assert listener.heard == station.told()
    station.record("top", "B")
    assert station.outbox.failure is None
    station.parts._file.close()
    station.outbox.close()


def test_the_first_start_decides_nothing_of_what_was_there_before(tmp_path: Path) -> None:
    station = Station(tmp_path, [RULE], clock=ManualClock(), tells=False).open()
    for number in range(10):
        station.record("top", f"P{number}")
    station.make_room()  # as when a part rule is set for the first time
    station.turn()
    station.clock.sleep(2.0)
    station.turn()
    assert station.told() == []
    station.close()


def test_the_counts_are_of_every_rule_from_the_start_and_tell_how_soon(station: Station) -> None:
    named = {(one.name, *one.labels): one.value for one in station.parts.counts.samples()}
    assert named["parts", "housing", "pass"] == 0
    station.record("top", "A")
    station.record("side", "A")
    station.record("top", "B")
    station.turn()
    named = {(one.name, *one.labels): one.value for one in station.parts.counts.samples()}
    assert (named["parts", "housing", "pass"], named["parts_open", "housing"]) == (1, 1)
    assert sum(named["part_seconds", "housing"].counts) == 1  # type: ignore[union-attr]
    (shown,) = station.parts.counts.shown()
    assert shown["last"]["part_id"] == "A" and shown["open"] == 1  # type: ignore[index, call-overload]


def events_of(station: Station, name: str) -> list[dict[str, object]]:
    with sqlite3.connect(station.outbox.path) as database:
        rows = database.execute("SELECT payload FROM record WHERE class = 1 ORDER BY seq").fetchall()
    return [one for (row,) in rows if (one := json.loads(row)).get("event") == name]
