"""Only what a trusted key signed, as the kind it signed it for, passes; anything else is one clear error."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agent.bundle.signing import (
    SignatureError,
    key_id,
    load_private_key,
    load_public_key,
    sign,
    signers,
    verify,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
KIND = "application/vnd.plumbline.test"
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(payload=st.binary(max_size=200), kind=st.text(max_size=40))
def test_what_a_key_signed_verifies_with_its_public_key(payload: bytes, kind: str) -> None:
    envelope = sign(payload, kind, KEY)
    verify(envelope, payload, kind, KEY.public_key())
    assert signers(envelope) == [key_id(KEY.public_key())]


def test_another_key_is_refused_by_name() -> None:
    with pytest.raises(SignatureError, match=f"not by the trusted key {key_id(OTHER.public_key())}"):
        verify(sign(b"payload", KIND, KEY), b"payload", KIND, OTHER.public_key())


@pytest.mark.parametrize(("payload", "kind"), [(b"payloae", KIND), (b"payload", KIND + "2"), (b"", KIND)])
def test_another_file_or_another_kind_is_refused(payload: bytes, kind: str) -> None:
    with pytest.raises(SignatureError, match="another file or another kind"):
        verify(sign(b"payload", KIND, KEY), payload, kind, KEY.public_key())


def test_a_signature_copied_onto_another_payload_is_refused() -> None:
    content = json.loads(sign(b"payload", KIND, KEY))
    content["payload"] = base64.b64encode(b"evil").decode()
    with pytest.raises(SignatureError, match="does not fit"):
        verify(json.dumps(content).encode(), b"evil", KIND, KEY.public_key())


def test_a_signature_for_one_kind_does_not_pass_as_another() -> None:
    content = json.loads(sign(b"payload", KIND, KEY))
    content["payloadType"] = "application/vnd.plumbline.settings"
    with pytest.raises(SignatureError, match="does not fit"):
        verify(
            json.dumps(content).encode(), b"payload", "application/vnd.plumbline.settings", KEY.public_key()
        )


def test_a_second_signature_does_not_hide_the_trusted_one() -> None:
    ours, theirs = (json.loads(sign(b"payload", KIND, key)) for key in (KEY, OTHER))
    ours["signatures"] += theirs["signatures"]
    for key in (KEY, OTHER):
        verify(json.dumps(ours).encode(), b"payload", KIND, key.public_key())


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_flipped_bit_of_an_envelope_gets_another_payload_through(position: int, bit: int) -> None:
    damaged = bytearray(sign(b"payload", KIND, KEY))
    damaged[position % len(damaged)] ^= 1 << bit
    with pytest.raises(SignatureError):
        verify(bytes(damaged), b"qayload", KIND, KEY.public_key())


@given(content=JSON)
def test_any_other_json_is_refused_as_no_envelope(content: Any) -> None:
    with pytest.raises(SignatureError, match="not a signature envelope"):
        signers(json.dumps(content).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"signatures": None},
        {"signatures": [None]},
        {"signatures": [{}]},
        {"signatures": [{"keyid": [], "sig": ""}]},
        {"signatures": [{"keyid": 5, "sig": ""}]},
        {"signatures": [{"keyid": key_id(KEY.public_key()), "sig": 5}]},
        {"signatures": [{"keyid": key_id(KEY.public_key()), "sig": "not base64!"}]},
        {"payload": 5},
        {"payload": "not base64!"},
        {"payload": "ü"},
        {"payloadType": None},
    ],
    ids=str,
)
def test_an_envelope_with_a_part_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    envelope = json.dumps({**json.loads(sign(b"payload", KIND, KEY)), **change}).encode()
    with pytest.raises(SignatureError):
        verify(envelope, b"payload", KIND, KEY.public_key())


@pytest.mark.parametrize("envelope", [b"", b"\xff\xfe", b"[" * 100_000], ids=["empty", "no text", "deep"])
def test_bytes_that_are_no_json_are_refused(envelope: bytes) -> None:
    with pytest.raises(SignatureError, match="not a signature envelope"):
        verify(envelope, b"payload", KIND, KEY.public_key())


def test_keys_are_read_from_pem_files(tmp_path: Path) -> None:
    private, public = tmp_path / "key.pem", tmp_path / "key.pub.pem"
    private.write_bytes(private_pem(KEY))
    public.write_bytes(public_pem(KEY))
    assert load_private_key(private).private_bytes_raw() == KEY.private_bytes_raw()
    assert load_public_key(public).public_bytes_raw() == KEY.public_key().public_bytes_raw()


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
        with pytest.raises(SignatureError, match=name):
            load_private_key(tmp_path / name)
    (tmp_path / "x25519.pub.pem").write_bytes(public_pem(X25519PrivateKey.from_private_bytes(bytes(32))))
    (tmp_path / "private.pem").write_bytes(private_pem(KEY))
    for name in ("x25519.pub.pem", "private.pem", "damaged.pem", "absent.pem"):
        with pytest.raises(SignatureError, match=name):
            load_public_key(tmp_path / name)


def private_pem(
    key: Ed25519PrivateKey | X25519PrivateKey,
    lock: serialization.KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        lock or serialization.NoEncryption(),
    )


def public_pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
