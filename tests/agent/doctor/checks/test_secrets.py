"""Secrets that others can read are wrong, and none of them is ever said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.doctor.checks import secrets
from tests.agent.doctor.sites import site, states, told, write

WORD = "hunter-2-word"
PLACE = "etc/plumbline/secrets"


def login(path: str) -> dict[str, object]:
    return {"mqtt": {"username": "u", "password_file": path}}


def test_private_files_are_good_and_others_wrong(tmp_path: Path) -> None:
    secret = tmp_path / "word"
    secret.write_text(WORD)
    secret.chmod(0o600)
    one = site(tmp_path, **login("word"))
    assert states(secrets.files, one) == ["ok"]
    secret.chmod(0o644)
    said = told(secrets.files, one, "wrong")
    assert "mode 0644" in said.words and WORD not in said.words + said.remedy
    secret.unlink()
    assert states(secrets.files, one) == ["wrong"]


def test_secrets_of_gateways_count_too(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text(WORD)
    (tmp_path / "hook").chmod(0o604)
    gateway = {"kind": "webhook", "url": "https://mes/", "secret_file": "hook"}
    said = told(secrets.files, site(tmp_path, gateways=[gateway]), "wrong")
    assert said.words.startswith("gateways.0.secret_file: ")


def test_settings_without_secrets_are_skipped(tmp_path: Path) -> None:
    assert states(secrets.files, site(tmp_path)) == states(secrets.folder, site(tmp_path)) == ["skipped"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = write(tmp_path, f"{PLACE}/mqtt-password", WORD)
    path.chmod(0o600)
    path.parent.chmod(0o700)
    return path.parent


def test_a_folder_for_root_alone_is_good(tmp_path: Path, folder: Path) -> None:
    assert states(secrets.folder, site(tmp_path, **login("%d/mqtt-password"))) == ["ok"]


def test_a_folder_or_a_file_that_others_can_read_is_wrong(tmp_path: Path, folder: Path) -> None:
    one = site(tmp_path)
    folder.chmod(0o755)
    assert told(secrets.folder, one, "wrong").remedy == f"sudo chmod 700 {folder}"
    folder.chmod(0o700)
    (folder / "mqtt-password").chmod(0o640)
    said = told(secrets.folder, one, "wrong")
    assert "mode 0640" in said.words and WORD not in said.words + said.remedy


def test_a_secret_that_is_empty_or_not_there_is_wrong(tmp_path: Path, folder: Path) -> None:
    one = site(tmp_path, **login("%d/other"))
    assert "the settings name %d/other" in told(secrets.folder, one, "wrong").words
    (folder / "other").touch(mode=0o600)
    assert "is empty" in told(secrets.folder, one, "wrong").words


def test_settings_that_name_credentials_want_the_folder(tmp_path: Path) -> None:
    assert states(secrets.folder, site(tmp_path, **login("%d/mqtt-password"))) == ["wrong"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder")
def test_who_may_not_look_into_it_says_so(tmp_path: Path, folder: Path) -> None:
    folder.chmod(0o000)
    found = states(secrets.folder, site(tmp_path))
    folder.chmod(0o700)
    assert found == ["skipped"]
