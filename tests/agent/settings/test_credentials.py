"""Secrets come out of files, where systemd says so too; what is missing is named with key and remedy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.settings.credentials import CredentialError, is_credential, locate, read_secret


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


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xef\xbb\xbf\r\n", "is empty"),
        (b"  \n", "is empty"),
        (b"GEHEIM\nsecond\n", "has several lines"),
        (b"GEHEIM\rsecond", "has several lines"),
        (b"GEHEIM\0x", "has control characters"),
        (b"GEHEIM\x1b[0m", "has control characters"),
        (b"GEHEIM" * 1000, "is larger than 4096 bytes"),
        ("GEHEIM".encode("utf-16"), "is UTF-16"),
        (b"GEHEIM\xff", "is not UTF-8"),
    ],
)
def test_a_secret_has_one_form_and_is_never_quoted(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(CredentialError) as caught:
        read_secret(path, key="k", environment={})
    assert str(caught.value).startswith(f"k: {path}: {words}") and "GEHEIM" not in str(caught.value)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff"), min_size=1))
def test_a_mark_and_the_end_of_the_line_are_no_part_of_a_secret(tmp_path_factory: Any, secret: str) -> None:
    path = tmp_path_factory.mktemp("secrets") / "secret"
    if not secret.strip():
        return
    for start, end in (("", ""), ("\ufeff", "\n"), ("", "\r\n")):
        path.write_bytes((start + secret + end).encode())
        path.chmod(0o600)
        assert read_secret(path, key="k", environment={}) == secret


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o606, 0o666, 0o602, 0o777, 0o444])
def test_a_secret_that_everybody_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    path.write_text("GEHEIM")
    path.chmod(mode)
    with pytest.raises(CredentialError, match=rf"mode {mode:04o}.*chmod 600"):
        read_secret(path, key="k", environment={})
    path.chmod(mode & 0o770)
    assert read_secret(path, key="k", environment={}) == "GEHEIM"


def test_a_folder_or_a_pipe_is_no_secret(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path, "is a folder"), (tmp_path / "pipe", "is no regular file")):
        with pytest.raises(CredentialError, match=words):
            read_secret(path, key="k", environment={})
