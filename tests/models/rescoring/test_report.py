"""What would change is counted once, whoever looks at the rows in whichever order."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rescoring.report import BYS, Changes, Report, Tally, report_of, together
from models.rescoring.row import Row, rows_of, table_of
from models.rescoring.words import markdown, sentences, tables
from tests.models.rescoring.plant import row

WORDS = ("pass", "fail", "undecided")
ROWS = st.lists(
    st.builds(
        row,
        st.integers(0, 10_000),
        st.sampled_from(WORDS),
        st.sampled_from([*WORDS, None]),
        station=st.sampled_from(["press-1", "press-2", "öfen | *x*"]),
        product=st.sampled_from(["cells", "films", ""]),
        week=st.sampled_from(["2026-W48", "2026-W53", "2027-W01"]),
        width=st.sampled_from([60, 60, 80]),
        shift=st.none() | st.floats(-100, 100),
        mark=st.sampled_from([None, "confirmed", "false_alarm"]),
        becomes=st.sampled_from([None, "mended", "newly_wrong", "kept_right", "still_wrong"]),
    )
    | st.builds(lambda number: Row(status="torn", why="cut", file=f"/{number}"), st.integers(0, 99)),
    max_size=60,
)


def report(rows: list[Row]) -> Report:
    return report_of(rows, at="2026-12-01T00:00:00.000Z", bundle="small", bundle_sha256="cd" * 32, archives=2)


def numbers(changes: Changes) -> list[int]:
    """All that can be added up."""
    told = changes.model_dump(exclude={"shift"})
    return [value for one in told.values() for value in (one.values() if isinstance(one, dict) else [one])]


def added(many: list[Changes]) -> list[int]:
    return [sum(column) for column in zip(*map(numbers, many), strict=True)] if many else []


@given(ROWS, st.randoms())
def test_the_order_of_rows_makes_no_difference(rows: list[Row], chance: random.Random) -> None:
    found = report(rows)
    chance.shuffle(rows)
    assert report(rows) == found


@given(ROWS)
def test_every_file_is_counted_and_groups_and_cells_add_up_to_all(rows: list[Row]) -> None:
    found = report(rows)
    assert sum(found.files.values()) == len(rows)
    assert found.all.frames == found.files.get("judged", 0)
    assert found.all.unscored == found.files.get("unscored", 0)
    for many in (
        *([one.changes for one in found.groups if one.by == by] for by in BYS),
        [one.changes for one in found.cells],
    ):
        assert added(many) == (numbers(found.all) if many else [])
        assert bool(many) == any(one.status != "torn" for one in rows)


@given(ROWS)
def test_then_and_now_are_of_the_same_frames_and_flips_are_of_decided_ones(rows: list[Row]) -> None:
    for one in (report(rows).all, *(group.changes for group in report(rows).groups)):
        for side in (one.then, one.now):
            assert side.passes + side.fails + side.undecided == one.frames
        assert one.now.fails - one.then.fails <= one.flips.to_fail + one.newly_decided
        assert one.flips.all + one.newly_decided <= one.frames
        assert one.newly_decided <= one.then.undecided


@given(ROWS, st.integers(1, 7))
def test_rows_that_several_have_seen_are_as_if_one_had(rows: list[Row], parts: int) -> None:
    seen = [one for one in rows if one.status != "torn"]
    tallies = [Tally() for _ in range(parts)]
    whole = Tally()
    for number, one in enumerate(seen):
        tallies[number % parts].see(one)
        whole.see(one)
    assert together(tallies).changes() == whole.changes()


@given(ROWS)
def test_rows_come_out_of_a_table_as_they_went_in(rows: list[Row]) -> None:
    assert list(rows_of(table_of(rows))) == rows


@given(ROWS)
def test_a_report_is_read_as_it_was_written_and_its_tables_have_a_row_for_each_name(rows: list[Row]) -> None:
    found = report(rows)
    assert Report.model_validate_json(found.model_dump_json(by_alias=True)) == found
    assert [len(one.rows) for one in tables(found)] == [
        1,
        *(sum(group.by == by for group in found.groups) for by in BYS),
    ]
    assert all(len(line) == len(one.heads) for one in tables(found) for line in one.rows)


def test_flips_go_both_ways_and_what_was_undecided_is_no_flip() -> None:
    pairs: list[tuple[Any, Any]] = [
        ("pass", "fail"),
        ("fail", "pass"),
        ("fail", "pass"),
        ("pass", "undecided"),
    ]
    pairs += [("undecided", "fail"), ("undecided", "undecided"), ("pass", "pass"), ("fail", None)]
    found = report([row(number, *pair) for number, pair in enumerate(pairs)]).all
    assert (found.flips.to_fail, found.flips.to_pass, found.flips.to_undecided) == (1, 2, 1)
    assert (found.newly_decided, found.frames, found.unscored) == (1, 7, 1)


def test_a_frame_of_another_size_than_its_camera_mostly_has_is_named() -> None:
    rows = [row(number, "pass", "pass") for number in range(5)]
    rows += [
        row(9, "pass", "pass", width=80),
        row(8, "pass", "pass", width=80),
        row(7, "pass", "fail", channels=3),
    ]
    rows += [row(20, "pass", "pass", camera="side", width=80)]  # the usual one there
    found = report(rows)
    assert found.odd_frames == 3
    assert [(one.width, one.channels, one.frames, one.first_file) for one in found.odd_sizes] == [
        (60, 3, 1, "/plant/7.png"),
        (80, 1, 2, "/plant/8.png"),
    ]
    assert any("3 frames are of another size" in line for line in sentences(found))


def test_foreign_names_are_no_markdown_and_everything_left_out_is_told() -> None:
    rows = [row(1, "pass", "fail", station="a|b\n# c"), Row(status="torn", why="cut", file="/x.png")]
    rows.append(row(2, "fail", "fail", rules_kept=False, then_bundle="cd" * 32))
    text = "\n".join(markdown(report(rows)))
    assert "\\|b\\\\n\\# c" in text and "\n# c" not in text
    for words in ("1 torn: cut short", "left\\_out.jsonl", "without their rules", "by this very bundle then"):
        assert words in text


@pytest.mark.parametrize("name", ["", "x" * 500])
def test_a_name_of_any_length_has_its_row(name: str) -> None:
    (line,) = tables(report([row(1, "pass", "pass", product=name)]))[1].rows
    assert line[0] == (name[:60] or "(none)")
