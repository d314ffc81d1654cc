"""The settings' file, and what it names."""

from __future__ import annotations

from pathlib import Path

from agent.doctor.checks import settings
from agent.doctor.site import Site, site_of
from tests.agent.doctor.sites import machine, site, states, told
from tests.agent.remote.settled import document, signed, started

FOLDER = {"kind": "folder", "path": "frames", "watch": True}


def test_a_good_file_is_good(tmp_path: Path) -> None:
    assert states(settings.file, site(tmp_path)) == ["ok"]


def test_every_problem_of_the_file_is_said_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text("mqtt:\n  port: 0\npage: {prot: 1}\n")
    found = [*settings.file(site_of(tmp_path / "agent.yaml", machine(tmp_path)))]
    assert [one.state for one in found] == ["wrong", "wrong"]
    assert found[0].words.startswith(f"{tmp_path}/agent.yaml:2: mqtt.port")
    assert found[1].remedy == "did you mean port?"


def test_a_file_that_is_not_there_is_wrong(tmp_path: Path) -> None:
    assert "no such file" in told(settings.file, site_of(tmp_path / "x", machine(tmp_path)), "wrong").words


def test_a_file_that_everybody_can_change_is_wrong(tmp_path: Path) -> None:
    one = site(tmp_path)
    (tmp_path / "agent.yaml").chmod(0o666)
    assert "chmod o-w" in told(settings.file, one, "wrong").remedy


def test_settings_that_are_in_force_in_place_of_the_file_are_to_be_noted(tmp_path: Path) -> None:
    station = started(tmp_path)
    at = site_of(station.file, machine(tmp_path))
    assert states(settings.in_force, at) == ["ok"]
    station.offer(signed(document({"judge": {"min_area_px": 30}})))
    station.judge("stable")
    found = told(settings.in_force, at, "note")
    assert "document 1 of plant" in found.words and "settings show" in found.remedy


def test_without_a_file_it_is_skipped(tmp_path: Path) -> None:
    assert states(settings.file, Site(machine=machine(tmp_path))) == ["skipped"]


def test_files_that_are_there_are_good_and_those_that_are_not_are_named(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    good = site(tmp_path, cameras=[{"name": "top", "source": FOLDER}])
    assert states(settings.named, good) == ["ok"]
    gateways = [{"kind": "folder", "path": "agent.yaml/results"}]
    bad = site(tmp_path, cameras=[{"name": "top", "source": FOLDER}], gateways=gateways)
    assert told(settings.named, bad, "wrong").words.startswith("gateways.0.path: ")


def test_a_cache_that_cannot_be_made_is_wrong_and_what_other_families_look_at_is_left_to_them(
    tmp_path: Path,
) -> None:
    one = site(
        tmp_path,
        cameras=[{"name": "top", "source": {"kind": "genicam", "address": "192.0.2.1"}}],
        engine={"cache": "agent.yaml/engines"},
        outbox={"path": "none/outbox.sqlite3"},
        mqtt={"username": "u", "password_file": "none"},
    )
    assert told(settings.named, one, "wrong").words.startswith("engine.cache: ")
