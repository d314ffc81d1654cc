"""The row of a file: what the new bundle says beside the record, or why it says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from agent.archive import files
from agent.engines.engine import DeviceLost
from agent.remote.proof.limits import shift
from models.rescoring.again import Judge, open_judge, rows_of_part
from models.rescoring.faults import RescoreError
from models.rescoring.row import Row
from tests.agent.remote.proof.shadowed import write_grey
from tests.models.rescoring.plant import Plant, decided, everything_ignored

STRICT = 0.4  # of the new bundle, where 0.5 was the threshold


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    strict = write_grey(tmp_path_factory.mktemp("bundle") / "strict", threshold=STRICT)
    in_float32 = strict.manifest.model_copy(update={"variants": {}})  # whatever else this CPU has
    found = open_judge(replace(strict, manifest=in_float32))
    yield found
    found.engine.close()


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(folder=tmp_path / "plant")


def again(judge: Judge, *paths: Path) -> list[Row]:
    """As a part of entries in one archive."""
    archive = paths[0].parents[1]
    told: list[dict[str, Any]] = [
        {"kind": "entry", "folder": 0, "name": str(path.relative_to(archive)), "id": path.stem}
        for path in paths
    ]
    return list(rows_of_part(told, [str(archive)], judge))


def test_a_row_has_what_was_recorded_and_what_the_new_bundle_says(plant: Plant, judge: Judge) -> None:
    passed, failed = (
        plant.keep("press-1", 116, decided=decided()),
        plant.keep("press-1", 60, decided=decided()),
    )
    one, other = again(judge, passed, failed)
    assert (one.status, one.then_verdict, one.now_verdict) == ("judged", "pass", "fail")
    assert (other.then_verdict, other.now_verdict, other.now_defects) == ("pass", "pass", 0)
    assert one.now_raw == pytest.approx(116 / 255, abs=1e-6) and one.now_threshold == pytest.approx(STRICT)
    assert one.shift == pytest.approx(shift(100 * 116 / 255 / 0.5, 100 * 116 / 255 / STRICT), abs=1e-3)
    assert (one.station, one.product, one.camera, one.week) == ("press-1", "cells", "top", "2026-W48")
    assert (one.lines, one.width, one.channels, one.rules_kept) == (40, 60, 1, True)
    assert one.file == str(passed) and one.now_engine == "openvino-f32"


def test_rules_of_the_station_hold_and_threshold_is_the_new_bundles(plant: Plant, judge: Judge) -> None:
    own = decided(threshold=0.99, calibrated={"bf16": 0.98}, ignore=everything_ignored())
    ignored = plant.keep("press-1", 200, decided=own)
    unkept = plant.keep("press-1", 200)
    one, other = again(judge, ignored, unkept)
    assert one.status == "unscored" and "cover the whole frame" in str(one.why)
    assert other.status == "judged" and other.rules_kept is False and other.now_verdict == "fail"


@pytest.mark.parametrize(
    ("level", "mark", "becomes"),
    [
        (116, "confirmed", "newly_wrong"),
        (116, "missed_defect", "mended"),
        (200, "confirmed", "kept_right"),
        (200, "false_alarm", "still_wrong"),
        (60, "missed_defect", "still_wrong"),
        (60, None, None),
    ],
)
def test_a_mark_tells_what_the_change_is_worth(
    plant: Plant, judge: Judge, level: int, mark: Any, becomes: str | None
) -> None:
    (row,) = again(judge, plant.keep("press-1", level, mark=mark))
    assert (row.mark, row.becomes) == (mark, becomes)


def test_what_no_picture_decides_is_undecided_now_as_then(plant: Plant, judge: Judge) -> None:
    missing = plant.keep("press-1", 200, name="undecided", reason="part_missing", mark="confirmed")
    lost = plant.keep("press-1", 200, name="undecided", reason="engine_error")
    one, other = again(judge, missing, lost)
    assert (one.now_verdict, one.now_reason, one.shift, one.becomes) == (
        "undecided",
        "part_missing",
        None,
        None,
    )
    assert (other.then_verdict, other.now_verdict, other.shift) == ("undecided", "fail", None)


def test_an_entry_that_is_not_whole_and_sound_is_told_by_what_is_wrong_with_it(
    plant: Plant, judge: Judge
) -> None:
    cut, changed, foreign, gone, renamed = (plant.keep("press-1", 20) for _ in range(5))
    cut.write_bytes(cut.read_bytes()[:-30])
    data = bytearray(changed.read_bytes())
    data[-200] ^= 1
    changed.write_bytes(bytes(data))
    foreign.write_bytes(b"a text")
    gone.unlink()
    renamed = renamed.rename(renamed.with_name("other.png"))
    newer = plant.keep("press-1", 20)
    newer.write_bytes(newer.read_bytes().replace(b"plumbline.archive/1", b"plumbline.archive/9"))
    rows = again(judge, cut, changed, foreign, gone, renamed, newer)
    assert [row.status for row in rows] == ["torn", "torn", "foreign", "gone", "renamed", "foreign"]
    assert all(row.why and row.station is None and row.file for row in rows)


def test_of_copies_the_first_sound_one_counts(plant: Plant, judge: Judge) -> None:
    kept = plant.keep("press-1", 200)
    torn, copy = (plant.archive(name) / kept.parent.name / kept.name for name in ("backup-1", "backup-2"))
    for path in (torn, copy):
        path.parent.mkdir(parents=True)
        path.write_bytes(kept.read_bytes())
    torn.write_bytes(torn.read_bytes()[:-1])
    folders = [str(plant.archive(name)) for name in ("backup-1", "press-1", "backup-2")]
    told = [
        {"kind": "entry", "folder": number, "name": f"{kept.parent.name}/{kept.name}", "id": kept.stem}
        for number in range(3)
    ]
    rows = list(rows_of_part(told, folders, judge))
    assert [row.status for row in rows] == ["torn", "judged", "double"]
    assert rows[2].why == f"counted as {kept}"


def test_an_entry_of_the_same_id_that_another_station_kept_is_no_copy(plant: Plant, judge: Judge) -> None:
    """Of two machines from one image, or a picture that somebody exchanged: neither is left out."""
    plant.keep("press-1", 20)
    plant.numbers = count(1)
    plant.keep("press-2", 235)
    first, second = (plant.archive(name) for name in ("press-1", "press-2"))
    (kept,) = first.glob("*/*")
    name = str(kept.relative_to(first))
    folders = [str(first), str(second), str(first), str(second)]
    told = [
        {"kind": "entry", "folder": number, "name": name, "id": kept.stem} for number in range(len(folders))
    ]
    rows = list(rows_of_part(told, folders, judge))
    assert [(row.status, row.station) for row in rows[:2]] == [("judged", "press-1"), ("judged", "press-2")]
    assert [row.why for row in rows[2:]] == [f"counted as {kept}", f"counted as {second / name}"]


def test_an_archive_that_is_not_there_ends_the_part_and_is_no_row(plant: Plant, judge: Judge) -> None:
    kept = plant.keep("press-1", 20)
    plant.archive("press-1").rename(plant.folder / "unmounted")
    with pytest.raises(RescoreError, match="this archive is not there; mount it at this very path"):
        again(judge, kept)


class Failing:
    """An engine that fails on cue."""

    def __init__(self, judge: Judge, error: Exception) -> None:
        self._engine, self._error = judge.engine, error

    def run(self, tiles: Any, *, restored: bool = True) -> Any:
        raise self._error

    def describe(self) -> Any:
        return self._engine.describe()

    def close(self) -> None:
        pass


def test_a_frame_that_the_engine_does_not_take_is_told_and_a_lost_device_ends_the_part(
    plant: Plant, judge: Judge
) -> None:
    kept = plant.keep("press-1", 20)
    (row,) = again(replace(judge, engine=Failing(judge, RuntimeError("bad\nshape"))), kept)
    assert (
        row.status == "unscored" and "no engine could judge it" in str(row.why) and row.station == "press-1"
    )
    with pytest.raises(DeviceLost):
        again(replace(judge, engine=Failing(judge, DeviceLost("it fell off the bus"))), kept)


def test_rows_of_what_is_no_entry_name_its_kind(judge: Judge, tmp_path: Path) -> None:
    told = [{"kind": "unfinished", "folder": 0, "name": "2026-11-24/.a.png.part", "id": ""}]
    (row,) = rows_of_part(told, [str(tmp_path)], judge)
    assert (row.status, row.why) == ("unfinished", "half written when a station died")
    assert files.TORN not in row.file
