"""Secrets come out of files, where systemd says so too; what is missing is named with key and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.credentials import CredentialError, is_credential, locate, read_secret


def test_a_plain_path_is_itself(tmp_path: Path) -> None:
    assert locate(tmp_path / "key", key="mqtt.key_file", environment={}) == tmp_path / "key"
    assert not is_credential(tmp_path / "%d" / "key")


def test_a_systemd_credential_is_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret \n", encoding="utf-8")
    (tmp_path / "password").chmod(0o600)
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    path = Path("%d/password")
    assert is_credential(path)
    assert locate(path, key="k", environment=environment) == tmp_path / "password"
    assert read_secret(path, key="k", environment=environment) == "secret "


@pytest.mark.parametrize("environment", [{}, {"CREDENTIALS_DIRECTORY": ""}])
def test_a_systemd_credential_without_systemd_says_which_line_the_unit_lacks(
    environment: dict[str, str],
) -> None:
    with pytest.raises(CredentialError) as caught:
        read_secret(Path("%d/mqtt-password"), key="mqtt.password_file", environment=environment)
    assert str(caught.value).startswith(
        "mqtt.password_file: %d/mqtt-password: $CREDENTIALS_DIRECTORY is not set"
    )
    assert "LoadCredential=mqtt-password:FILE" in str(caught.value)


def test_a_secret_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with pytest.raises(CredentialError, match=r"k: .*secret: No such file or directory; it must exist"):
        read_secret(path, key="k", environment={})
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CredentialError, match=r"k: .*secret: is UTF-16, not UTF-8"):
        read_secret(path, key="k", environment={})
