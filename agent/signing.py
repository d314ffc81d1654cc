"""DSSE-type Ed25519 envelopes: the payload's type is signed with it, so one kind never passes for another.

Envelope: {"payloadType", "payload" (base64), "signatures": [{"keyid", "sig"}]}; the signature is over
the DSSE v1 pre-authentication encoding. A key id is the SHA-256 of the raw public key.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agent.errors import PlumblineError

BUNDLE_TYPE = "application/vnd.plumbline.bundle-manifest+yaml"


class SignatureError(PlumblineError):
    """The envelope is not what a trusted key signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    payload_type: str
    payload: bytes
    signatures: dict[str, bytes]  # by key id


def sign(payload: bytes, payload_type: str, key: Ed25519PrivateKey) -> bytes:
    """The envelope as JSON bytes."""
    envelope = {
        "payloadType": payload_type,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {
                "keyid": key_id(key.public_key()),
                "sig": base64.b64encode(key.sign(_encoding(payload, payload_type))).decode(),
            }
        ],
    }
    return json.dumps(envelope, indent=1).encode()


def verify(envelope: bytes, payload: bytes, payload_type: str, trusted: Ed25519PublicKey) -> None:
    """Raises SignatureError unless `trusted` signed exactly this payload as this type."""
    content = _parse(envelope)
    if content.payload_type != payload_type or content.payload != payload:
        raise SignatureError("the signature belongs to another file or another kind of file")
    wanted = key_id(trusted)
    if wanted not in content.signatures:
        raise SignatureError(
            f"signed by {', '.join(content.signatures) or 'nobody'}, not by the trusted key {wanted}"
        )
    try:
        trusted.verify(content.signatures[wanted], _encoding(payload, payload_type))
    except InvalidSignature:
        raise SignatureError(f"the signature of key {wanted} does not fit the file") from None


def signers(envelope: bytes) -> list[str]:
    """The key ids that an envelope claims; claims only, `verify` decides."""
    return list(_parse(envelope).signatures)


def key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """An unencrypted PEM key, as `openssl genpkey -algorithm ed25519` writes it. Raises SignatureError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise SignatureError(f"{path}: not a readable Ed25519 private key in PEM: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError(f"{path}: not an Ed25519 key; make one with openssl genpkey -algorithm ed25519")
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """A PEM public key, as `openssl pkey -pubout` writes it. Raises SignatureError."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SignatureError(f"{path}: not a readable Ed25519 public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError(f"{path}: not an Ed25519 key; make one with openssl genpkey -algorithm ed25519")
    return key


def _encoding(payload: bytes, payload_type: str) -> bytes:
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _parse(envelope: bytes) -> _Envelope:
    try:
        content = json.loads(envelope)
        return _Envelope(
            payload_type=str(content["payloadType"]),
            payload=base64.b64decode(content["payload"], validate=True),
            signatures={
                str(one["keyid"]): base64.b64decode(one["sig"], validate=True)
                for one in content["signatures"]
            },
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SignatureError(f"not a signature envelope: {error!r}") from error
