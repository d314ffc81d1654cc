"""A key file is an Ed25519 key under which signatures prove something, or it is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.trust.keys import _WEAK, KeyFileError, is_weak, load_public_key
from tests.agent.trust.pem import private_pem, public_pem

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def test_a_public_key_is_read_from_pem(tmp_path: Path) -> None:
    (tmp_path / "key.pub.pem").write_bytes(public_pem(KEY))
    assert load_public_key(tmp_path / "key.pub.pem").public_bytes_raw() == KEY.public_key().public_bytes_raw()


def test_a_key_file_that_is_absent_damaged_or_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "x25519.pub.pem").write_bytes(public_pem(X25519PrivateKey.from_private_bytes(bytes(32))))
    (tmp_path / "private.pem").write_bytes(private_pem(KEY))
    (tmp_path / "damaged.pem").write_bytes(private_pem(KEY)[:60])
    (tmp_path / "huge.pem").write_bytes(b"-" * 10_000_000)
    (tmp_path / "folder.pem").mkdir()
    os.mkfifo(tmp_path / "pipe.pem")
    names = (
        "x25519.pub.pem",
        "private.pem",
        "damaged.pem",
        "absent.pem",
        "huge.pem",
        "folder.pem",
        "pipe.pem",
    )
    for name in names:
        with pytest.raises(KeyFileError, match=f"{name}: not .*openssl"):
            load_public_key(tmp_path / name)


@pytest.mark.parametrize("y", sorted(_WEAK))
@pytest.mark.parametrize("sign_bit", [0, 1])
def test_a_key_under_which_anybody_can_sign_is_refused(y: int, sign_bit: int, tmp_path: Path) -> None:
    weak = Ed25519PublicKey.from_public_bytes((y | sign_bit << 255).to_bytes(32, "little"))
    assert is_weak(weak)
    (tmp_path / "weak.pem").write_bytes(public_pem(weak))
    with pytest.raises(KeyFileError, match=r"weak\.pem: anybody can sign"):
        load_public_key(tmp_path / "weak.pem")


def test_such_keys_really_verify_what_nobody_signed() -> None:
    one = (1).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(one).verify(one + bytes(32), b"anything")
    with pytest.raises(InvalidSignature):
        KEY.public_key().verify(one + bytes(32), b"anything")
    assert not is_weak(KEY.public_key())
