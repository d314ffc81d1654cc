"""Whether a station runs by what its file says is told in one sentence."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from agent.remote.settings.in_force import apart
from agent.settings.settings import SettingsError
from tests.agent.remote.settled import Station, document, signed, started


def with_a_document(folder: Path) -> Station:
    station = started(folder)
    station.offer(signed(document({"judge": {"min_area_px": 30}})))
    station.judge("stable")
    return station


def test_a_station_that_keeps_nothing_or_what_its_file_says_is_not_apart(tmp_path: Path) -> None:
    station = Station(tmp_path)
    assert apart(station.file, {}) is None
    assert apart(started(tmp_path).file, {}) is None


def test_a_document_is_named(tmp_path: Path) -> None:
    station = with_a_document(tmp_path)
    assert apart(station.file, {}) == (
        f"in force are not the settings in {station.file} alone, but with document 1 of plant for"
        " station:site/area/line/station, since 2026-11-29T12:00:00.000Z"
    )


def test_an_edit_that_the_station_has_not_read_is_told(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.write({**station.local, "judge": {"min_area_px": 17}})
    said = apart(station.file, {})
    assert said is not None and said.startswith(
        f"in force are not the settings in {station.file}, but others"
    )


def test_what_the_environment_sets_for_both_sets_none_apart(tmp_path: Path) -> None:
    station = with_a_document(tmp_path)
    assert apart(station.file, {"PLUMBLINE_JUDGE__MIN_AREA_PX": "30"}) is None


def test_what_is_kept_and_is_damaged_is_not_in_force(tmp_path: Path) -> None:
    station = with_a_document(tmp_path)
    kept = station.store.folder / f"{station.store.named('current')}.json"
    kept.write_bytes(kept.read_bytes()[:-9])
    assert apart(station.file, {}) is None


def test_what_is_kept_and_makes_no_settings_any_more_is_told(tmp_path: Path) -> None:
    station = with_a_document(tmp_path)
    kept = station.store.current()
    assert kept is not None
    station.store.place("a" * 64, replace(kept, data={**kept.data, "judge": {"was_a_key_once": 1}}))
    station.store.point("current", "a" * 64)
    assert "no good any more" in str(apart(station.file, {}))


def test_a_folder_that_may_not_be_read_leaves_it_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = with_a_document(tmp_path)

    def may_not(path: Path) -> Path:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "readlink", may_not)
    said = apart(station.file, {})
    assert said is not None and said.endswith(f"in force: {station.store.folder} may not be read")


def test_a_file_that_is_no_good_is_refused(tmp_path: Path) -> None:
    station = with_a_document(tmp_path)
    station.file.write_text("outbox: {path: outbox.sqlite3}\njudge: 5\n")
    with pytest.raises(SettingsError):
        apart(station.file, {})
