"""A technician sees what the station runs by, goes back, and hands a signed document over."""

from __future__ import annotations

import json
from pathlib import Path

from tests.agent.cli.calling import process
from tests.agent.remote.settled import Station, document, signed, started


def called(station: Station, *words: str | Path) -> str:
    done = process("-m", "agent", "settings", *words, "-c", station.file)
    assert done.code == 0, done.err
    return done.out


def with_a_document(folder: Path) -> Station:
    station = started(folder)
    station.offer(signed(document({"judge": {"min_area_px": 30}})))
    station.judge("stable")
    return station


def test_what_is_in_force_is_shown_with_its_source(tmp_path: Path) -> None:
    station = with_a_document(tmp_path)
    said = json.loads(called(station, "show", "--json"))
    assert (said["source"], said["document"]["counter"]) == ("remote", 1)
    assert said["settings"]["judge"]["min_area_px"] == 30
    assert "document 1 of plant" in called(station, "show")


def test_history_names_what_was_before_and_revert_brings_it_back(tmp_path: Path) -> None:
    station = with_a_document(tmp_path)
    lines = called(station, "history").splitlines()
    assert len(lines) == 2 and lines[0].endswith("before") and lines[1].endswith("in force")
    called(station, "revert")
    station.rollout.reload()
    station.turn()
    assert station.target.settings.judge.min_area_px == 16
    active = station.rollout.snapshot
    assert active is not None and active.source == "local"
    station.offer(signed(document({"judge": {"min_area_px": 31}}, counter=2)))
    said = station.judge("stable")
    assert said is not None and said.overwritten == ("judge.min_area_px",)


def test_a_snapshot_that_is_not_one_is_not_wanted_back(tmp_path: Path) -> None:
    station = started(tmp_path)
    done = process("-m", "agent", "settings", "revert", "abcdef", "-c", station.file)
    assert done.code == 2 and "history" in done.err


def test_a_document_from_a_stick_is_handed_over_whole(tmp_path: Path) -> None:
    station = started(tmp_path)
    stick = tmp_path / "stick" / "press-7.json"
    stick.parent.mkdir()
    stick.write_bytes(signed(document({"revision": 7})))
    called(station, "apply", stick)
    assert [one.name for one in (tmp_path / "inbox").iterdir()] == ["press-7.json"]
    assert (tmp_path / "inbox" / "press-7.json").read_bytes() == stick.read_bytes()
    stick.write_bytes(b"no document")
    done = process("-m", "agent", "settings", "apply", stick, "-c", station.file)
    assert done.code == 2 and "signed" in done.err
