"""Signing of documents, which the workshop alone does: a device verifies them (`agent/trust/`)."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.trust.envelope import MAX_SIGNATURES, Envelope, Signature, SignatureError, encoding, parse
from agent.trust.keys import key_id
from agent.trust.private_keys import OWNER_ALONE, private_pem, public_pem


def sign(payload: bytes, payload_type: str, *keys: Ed25519PrivateKey) -> bytes:
    """The envelope as JSON bytes, signed by each of `keys`."""
    return _written(Envelope(payload_type=payload_type, payload=payload, signatures=()), keys)


def add_signatures(envelope: bytes, *keys: Ed25519PrivateKey) -> bytes:
    """The same envelope, signed by `keys`, too.

    Raises SignatureError for what is no envelope, or would have more signatures than are read.
    """
    return _written(parse(envelope), keys)


def _written(envelope: Envelope, keys: Iterable[Ed25519PrivateKey]) -> bytes:
    signed = encoding(envelope.payload, envelope.payload_type)
    added = [Signature(claimed=key_id(key.public_key()), signature=key.sign(signed)) for key in keys]
    ours = {one.signature for one in added}  # a key signs the same in the same way every time
    kept = [one for one in envelope.signatures if one.signature not in ours]
    if len(kept) + len(added) > MAX_SIGNATURES:
        count = len(kept) + len(added)
        raise SignatureError(
            f"it would have {count} signatures, and {MAX_SIGNATURES} are the most that are read"
        )
    content = {
        "payloadType": envelope.payload_type,
        "payload": base64.b64encode(envelope.payload).decode(),
        "signatures": [
            {"keyid": one.claimed, "sig": base64.b64encode(one.signature).decode()} for one in kept + added
        ],
    }
    return json.dumps(content, indent=1).encode()


def write_new_key(private: Path, public: Path) -> Ed25519PrivateKey:
    """A new pair in PEM, the private half for its owner alone. Raises FileExistsError, and OSError."""
    key = Ed25519PrivateKey.generate()
    _write_new(
        private,
        private_pem(key),
        mode=OWNER_ALONE,
    )
    _write_new(public, public_pem(key.public_key()), mode=0o644)
    return key


def _write_new(path: Path, content: bytes, *, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.write(handle, content)
    finally:
        os.close(handle)
