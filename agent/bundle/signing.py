"""DSSE-type Ed25519 envelopes: the payload's type is signed with it, so one kind never passes for another.

Envelope: {"payloadType", "payload" (base64), "signatures": [{"keyid", "sig"}]}; the signature is over
the DSSE v1 pre-authentication encoding. A key id is the SHA-256 of the raw public key.
"""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agent.errors import PlumblineError
from agent.foreign import shown

MAX_PEM_BYTES = 65_536
MAX_SIGNATURES = 16
MAX_KEY_ID = 64
BUNDLE_TYPE = "application/vnd.plumbline.bundle-manifest+yaml"


class SignatureError(PlumblineError):
    """The envelope is not what a trusted key signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]  # key id, which is a claim, and signature


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


def verify(envelope: bytes, payload: bytes, payload_type: str, *trusted: Ed25519PublicKey) -> None:
    """Raises SignatureError unless one of `trusted` signed exactly this payload as this type."""
    content = _parse(envelope)
    if content.payload_type != payload_type or content.payload != payload:
        raise SignatureError("the signature belongs to another file or another kind of file")
    known = {key_id(key): key for key in trusted}
    ours = [signature for signature in content.signatures if signature[0] in known]
    if not ours:
        wanted = "the trusted key" if len(known) == 1 else "one of the trusted keys"
        raise SignatureError(f"signed by {_quoted(envelope)}, not by {wanted} {', '.join(known)}")
    for keyid, signature in ours:
        with suppress(InvalidSignature):
            known[keyid].verify(signature, _encoding(payload, payload_type))
            return
    raise SignatureError(f"the signature of key {ours[0][0]} does not fit the file")


def signers(envelope: bytes) -> list[str]:
    """The key ids that an envelope claims, as they can be shown; claims only, `verify` decides."""
    return [shown(keyid) for keyid, _ in _parse(envelope).signatures]


def key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """An unencrypted PEM key, as `openssl genpkey -algorithm ed25519` writes it. Raises SignatureError."""
    try:
        key = serialization.load_pem_private_key(_pem(path), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SignatureError(
            f"{shown(str(path))}: not a readable Ed25519 private key in PEM: {error}"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError(
            f"{shown(str(path))}: not an Ed25519 key; make one with openssl genpkey -algorithm ed25519"
        )
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """A PEM public key, as `openssl pkey -pubout` writes it. Raises SignatureError."""
    try:
        key = serialization.load_pem_public_key(_pem(path))
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(
            f"{shown(str(path))}: not a readable Ed25519 public key in PEM: {error}"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError(
            f"{shown(str(path))}: not an Ed25519 key; make one with openssl genpkey -algorithm ed25519"
        )
    return key


def _quoted(envelope: bytes) -> str:
    return ", ".join(f"'{keyid}'" for keyid in signers(envelope)) or "nobody"


def _pem(path: Path) -> bytes:
    if not path.is_file():  # a pipe or device would never end
        raise OSError("no such file")
    with path.open("rb") as file:
        return file.read(MAX_PEM_BYTES)


def _encoding(payload: bytes, payload_type: str) -> bytes:
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _parse(envelope: bytes) -> _Envelope:
    try:
        content = json.loads(envelope)
        return _Envelope(
            payload_type=str(content["payloadType"]),
            payload=base64.b64decode(content["payload"], validate=True),
            signatures=tuple(
                (str(one["keyid"])[:MAX_KEY_ID], base64.b64decode(one["sig"], validate=True))
                for one in content["signatures"][:MAX_SIGNATURES]
            ),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SignatureError(f"not a signature envelope: {shown(repr(error))}") from error
