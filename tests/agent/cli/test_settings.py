"""A technician sees what the station runs by, goes back, and hands a signed document over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agent.cli.calling import Plumbline
from tests.agent.remote.settled import Station, document, signed, started


def called(plumbline: Plumbline, station: Station, *words: str | Path) -> str:
    done = plumbline("settings", *words, "-c", station.file)
    assert done.code == 0, done.err
    return done.out


def with_a_document(folder: Path) -> Station:
    station = started(folder)
    station.offer(signed(document({"judge": {"min_area_px": 30}})))
    station.judge("stable")
    return station


def test_what_is_in_force_is_shown_with_its_source(plumbline: Plumbline, tmp_path: Path) -> None:
    station = with_a_document(tmp_path)
    said = json.loads(called(plumbline, station, "show", "--json"))
    assert (said["source"], said["document"]["counter"]) == ("remote", 1)
    assert said["settings"]["judge"]["min_area_px"] == 30
    assert "document 1 of plant" in called(plumbline, station, "show")


def test_history_names_what_was_before_and_revert_brings_it_back(
    plumbline: Plumbline, tmp_path: Path
) -> None:
    station = with_a_document(tmp_path)
    lines = called(plumbline, station, "history").splitlines()
    assert len(lines) == 2 and lines[0].endswith("before") and lines[1].endswith("in force")
    called(plumbline, station, "revert")
    station.rollout.reload()
    station.turn()
    assert station.target.settings.judge.min_area_px == 16
    active = station.rollout.snapshot
    assert active is not None and active.source == "local"
    station.offer(signed(document({"judge": {"min_area_px": 31}}, counter=2)))
    said = station.judge("stable")
    assert said is not None and said.overwritten == ("judge.min_area_px",)


def test_a_snapshot_that_is_not_one_is_not_wanted_back(plumbline: Plumbline, tmp_path: Path) -> None:
    station = started(tmp_path)
    done = plumbline("settings", "revert", "abcdef", "-c", station.file)
    assert done.code == 2 and "history" in done.err


@pytest.mark.parametrize("verb", ["show", "history", "revert"])
def test_a_station_that_never_ran_says_so_whatever_is_asked(
    plumbline: Plumbline, tmp_path: Path, verb: str
) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("outbox: {path: outbox.sqlite3}\n")
    done = plumbline("settings", verb, "-c", file)
    assert (done.code, done.out) == (2, "")
    assert "nothing is kept here yet; start the station once" in done.err


def test_where_nothing_was_in_force_before_there_is_no_way_back(plumbline: Plumbline, tmp_path: Path) -> None:
    done = plumbline("settings", "revert", "-c", started(tmp_path).file)
    assert done.code == 2 and "nothing was in force before these settings" in done.err


def test_a_document_from_a_stick_is_handed_over_whole(plumbline: Plumbline, tmp_path: Path) -> None:
    station = started(tmp_path)
    stick = tmp_path / "stick" / "press-7.json"
    stick.parent.mkdir()
    stick.write_bytes(signed(document({"revision": 7})))
    called(plumbline, station, "apply", stick)
    assert [one.name for one in (tmp_path / "inbox").iterdir()] == ["press-7.json"]
    assert (tmp_path / "inbox" / "press-7.json").read_bytes() == stick.read_bytes()
    stick.write_bytes(b"no document")
    done = plumbline("settings", "apply", stick, "-c", station.file)
    assert done.code == 2 and "signed" in done.err
