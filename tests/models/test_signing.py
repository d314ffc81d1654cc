"""The workshop's private keys: read, made, and kept from everybody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.trust.envelope import MAX_SIGNATURES, SignatureError, verify
from agent.trust.keys import KeyFileError, load_public_key
from agent.trust.private_keys import load_private_key
from models.signing import add_signatures, sign, write_new_key
from tests.agent.trust.pem import private_pem, public_pem

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


def test_a_private_key_is_read_from_pem(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(private_pem(KEY))
    assert load_private_key(tmp_path / "key.pem").private_bytes_raw() == KEY.private_bytes_raw()


def test_a_key_file_that_is_absent_damaged_locked_or_of_another_kind_is_named(tmp_path: Path) -> None:
    files = {
        "damaged.pem": private_pem(KEY)[:60],
        "public.pem": public_pem(KEY),
        "locked.pem": private_pem(KEY, serialization.BestAvailableEncryption(b"secret")),
        "x25519.pem": private_pem(X25519PrivateKey.from_private_bytes(bytes(32))),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for name in (*files, "absent.pem"):
        with pytest.raises(KeyFileError, match=name):
            load_private_key(tmp_path / name)


def test_a_new_pair_is_for_its_owner_alone_and_replaces_nothing(tmp_path: Path) -> None:
    private, public = tmp_path / "key.pem", tmp_path / "key.pub.pem"
    key = write_new_key(private, public)
    assert private.stat().st_mode & 0o777 == 0o600
    assert load_private_key(private).private_bytes_raw() == key.private_bytes_raw()
    assert load_public_key(public).public_bytes_raw() == key.public_key().public_bytes_raw()
    before = private.read_bytes()
    with pytest.raises(FileExistsError):
        write_new_key(private, tmp_path / "other.pem")
    assert private.read_bytes() == before


def test_a_signature_is_added_beside_those_there_are_and_once_for_each_key() -> None:
    envelope = add_signatures(sign(b"payload", "kind", KEY), OTHER)
    verify(envelope, b"payload", "kind", KEY.public_key(), OTHER.public_key(), threshold=2)
    again = add_signatures(envelope, KEY, OTHER)
    assert len(json.loads(again)["signatures"]) == 2
    with pytest.raises(SignatureError):
        add_signatures(b"{}", KEY)


def test_no_more_signatures_are_written_than_are_read() -> None:
    keys = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(MAX_SIGNATURES)]
    full = sign(b"payload", "kind", *keys)
    verify(full, b"payload", "kind", *(key.public_key() for key in keys), threshold=MAX_SIGNATURES)
    with pytest.raises(SignatureError, match="33 signatures, and 32"):
        add_signatures(full, Ed25519PrivateKey.from_private_bytes(b"x" * 32))
