"""A ledger closes only when every record came once, and what is odd has its reason in a mishap."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.soak.account import GRACE_S, Account, Befell, Event, Part, Record, close

LOST_CAMERA = Befell(kind="camera lost", began_s=100.0, ended_s=110.0)
FULL = Befell(kind="disk full", began_s=200.0, ended_s=205.0)


def record(sequence: int, **changes: object) -> Record:
    plain = Record(
        sequence=sequence,
        result_id=f"r{sequence}",
        boot_id="b1",
        camera="top",
        epoch=0,
        frame_id=sequence,
        reason=None,
        at_s=float(sequence),
        recorded_ms=5.0,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


RECORDS = [record(number) for number in range(1, 11)]
PARTS = [Part(sequence=number, views=(f"r{2 * number - 1}", f"r{2 * number}")) for number in range(1, 6)]


def closed(
    records: list[Record] = RECORDS,
    parts: list[Part] = PARTS,
    events: list[Event] | None = None,
    committed: int = 10,
    crops_kept: int = 0,
) -> Account:
    befell = [LOST_CAMERA, FULL]
    return close(committed, records, parts, events or [], crops_kept=crops_kept, befell=befell)


def test_a_day_of_which_all_came_closes() -> None:
    account = closed()
    assert (account.faults, account.unexplained) == ((), ())
    assert (account.committed, account.arrived, account.parts) == (10, 10, 5)


def test_one_that_is_lost_is_told() -> None:
    account = closed([one for one in RECORDS if one.sequence != 4], parts=[])
    assert account.lost == (4,)
    assert any("1 records lost, the first is 4" in one for one in account.faults)


def test_one_that_is_lost_at_the_end_is_told() -> None:
    assert closed(RECORDS[:-1], parts=[]).lost == (10,)


def test_one_sequence_for_two_records_is_told() -> None:
    account = closed([*RECORDS, record(7, result_id="other")])
    assert account.doubled == (7,)
    assert any("sequences twice, the first is 7" in one for one in account.faults)


def test_a_record_that_nobody_committed_is_told() -> None:
    assert closed(committed=9).faults == ("sequence 10: nobody committed it",)


def test_a_trigger_without_a_record_is_told() -> None:
    skipped = [replace(one, frame_id=one.frame_id + (one.sequence > 5)) for one in RECORDS]
    (fault,) = closed(skipped).faults
    assert "trigger 7 in record 6 comes after 5 in record 5" in fault


def test_a_trigger_with_two_records_is_told() -> None:
    twice = [replace(one, frame_id=one.frame_id - (one.sequence > 5)) for one in RECORDS]
    (fault,) = closed(twice).faults
    assert "trigger 5 in record 6" in fault


def test_a_record_that_stands_for_several_triggers_leaves_no_gap() -> None:
    later = [replace(one, frame_id=one.frame_id + 20) for one in RECORDS[5:]]
    shares = replace(RECORDS[4], shared=20)
    assert closed([*RECORDS[:4], shares, *later]).faults == ()
    assert len(closed([*RECORDS[:4], replace(shares, shared=19), *later]).faults) == 1


@pytest.mark.parametrize("changed", [{"epoch": 1}, {"boot_id": "b2"}, {"camera": "left"}])
def test_triggers_are_numbered_anew_by_another_connection_run_or_camera(changed: dict[str, object]) -> None:
    later = [replace(one, frame_id=one.frame_id + 90, **changed) for one in RECORDS[5:]]  # type: ignore[arg-type]
    assert closed([*RECORDS[:5], *later]).faults == ()


def test_a_part_that_is_missing_or_came_twice_is_told() -> None:
    assert closed(parts=[one for one in PARTS if one.sequence != 2]).faults == ("part 2: 0 of it came",)
    again = Part(sequence=5, views=())
    assert closed(parts=[*PARTS, again]).faults == ("part 5: 2 of it came",)


def test_a_view_in_two_parts_and_one_that_is_no_record_are_told() -> None:
    faults = closed(parts=[*PARTS, Part(sequence=6, views=("r1", "gone"))]).faults
    assert faults == ("view r1 stands in 2 parts", "view gone of a part is no record")


def test_a_picture_that_is_named_and_neither_came_nor_was_evicted_is_told() -> None:
    pictured = [replace(RECORDS[0], crops=("c1", "c2")), *RECORDS[1:]]
    evicted = Event(name="crop_evicted", at_s=201.0, detail="", crop="c2")
    assert closed(pictured, events=[evicted], crops_kept=1).faults == ()
    (fault,) = closed(pictured, events=[evicted], crops_kept=0).faults
    assert fault == "crops: 2 named, 1 told as evicted, and only 0 came"


@pytest.mark.parametrize(
    ("at_s", "is_told"), [(98.0, True), (100.0, False), (110.0 + GRACE_S, False), (111.0 + GRACE_S, True)]
)
def test_what_is_not_judged_has_its_reason_in_what_was_under_way(at_s: float, is_told: bool) -> None:
    account = closed([*RECORDS[:-1], record(10, reason="camera_error", at_s=at_s)])
    assert bool(account.unexplained) == is_told
    assert account.unjudged == {"camera_error": 1} and account.faults == ()


def test_a_reason_that_another_mishap_has_explains_nothing() -> None:
    (one,) = closed([*RECORDS[:-1], record(10, reason="overload", at_s=105.0)]).unexplained
    assert one == "record 10 of top at 105 s: overload"


@pytest.mark.parametrize("name", ["outbox_set_aside", "row_changed", "gateway_failing"])
def test_an_event_that_nothing_in_the_plan_explains_is_told(name: str) -> None:
    (one,) = closed(events=[Event(name=name, at_s=203.0, detail="why")]).unexplained
    assert one == f"event {name} at 203 s: why"


def test_an_event_that_a_mishap_explains_is_counted_alone() -> None:
    account = closed(events=[Event(name="spool_full", at_s=203.0, detail="")])
    assert account.unexplained == () and account.events == {"spool_full": 1}
