"""What systemd has folders for is there, for the service and for commands beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.settings import settings
from agent.settings.places import places_of, settings_file

UNIT = {
    "STATE_DIRECTORY": "/var/lib/plumbline",
    "CACHE_DIRECTORY": "/var/cache/plumbline",
    "CONFIGURATION_DIRECTORY": "/etc/plumbline",
}


def test_settings_that_name_no_place_mean_the_folders_of_the_unit(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("version: 1\n")
    found = settings.load(file, UNIT)
    assert found.outbox.path == Path("/var/lib/plumbline/outbox.sqlite3")
    assert found.engine_cache() == Path("/var/cache/plumbline/engines")
    assert found.bundle == Path("/var/lib/plumbline/bundles/current")


def test_folders_that_drop_ins_add_are_not_the_stations_own(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("version: 1\n")
    more = {name: f"{folder}:/elsewhere" for name, folder in UNIT.items()}
    assert settings.load(file, more) == settings.load(file, UNIT)


def test_what_they_name_counts(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("version: 1\nbundle: cells\noutbox: {path: /data/out.sqlite3}\n")
    found = settings.load(file, UNIT)
    assert (found.bundle, found.outbox.path) == (tmp_path / "cells", Path("/data/out.sqlite3"))


def test_an_override_counts_too(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("version: 1\n")
    found = settings.load(file, {**UNIT, "PLUMBLINE_OUTBOX__PATH": "/data/out.sqlite3"})
    assert found.outbox.path == Path("/data/out.sqlite3")


@pytest.mark.parametrize("text", ["version: 1\noutbox: 3\n", "version: 1\nengine: [1]\n"])
def test_a_section_that_is_none_is_told_as_without_systemd(text: str, tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(text)
    words = []
    for environment in ({}, UNIT):
        with pytest.raises(settings.SettingsError) as refused:
            settings.load(file, environment)
        words.append(refused.value.problems)
    assert words[0] == words[1]


@pytest.mark.parametrize(
    ("file", "state", "cache"),
    [
        ("/etc/plumbline/agent.yaml", "/var/lib/plumbline", "/var/cache/plumbline"),
        ("/etc/plumbline/press.yaml", "/var/lib/plumbline/press", "/var/cache/plumbline/press"),
    ],
)
def test_a_command_beside_the_service_finds_the_same_places(file: str, state: str, cache: str) -> None:
    found = places_of(Path(file), {})
    assert found is not None
    assert (str(found.state), str(found.cache)) == (state, cache)


def test_it_is_the_same_station_by_whatever_way_its_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/plumbline")
    plain = places_of(Path("/etc/plumbline/press.yaml"), {})
    assert places_of(tmp_path / "link" / "press.yaml", {}) == plain
    assert places_of(Path("/etc/plumbline/secrets/../press.yaml"), {}) == plain


def test_elsewhere_nothing_is_assumed(tmp_path: Path) -> None:
    assert places_of(tmp_path / "agent.yaml", {}) is None


def test_the_settings_file_that_is_meant_where_none_is_named() -> None:
    assert settings_file({}) == Path("/etc/plumbline/agent.yaml")
    assert settings_file(UNIT | {"CONFIGURATION_DIRECTORY": "/run/test"}) == Path("/run/test/agent.yaml")


def test_a_file_that_the_agent_may_not_read_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("version: 1\n")

    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", denied)  # root may read everything
    with pytest.raises(settings.SettingsError, match=r"Permission denied; let its group .* chgrp plumbline"):
        settings.load(file, {})
