"""Public keys of Ed25519: their files, their names, and those under which anything would verify."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings import bounded
from agent.settings.bounded import UnreadableError

MAX_PEM_BYTES = 65_536
_SHORT = 16
_P = 2**255 - 19
_ORDER_8 = (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)
# Points of small order, by their y: whoever knows one of them signs anything without a secret, and OpenSSL
# verifies it.
_WEAK = {0, 1, _P - 1, _P, _P + 1, *(int.from_bytes(bytes.fromhex(one), "little") for one in _ORDER_8)}


class KeyFileError(PlumblineError):
    """A key cannot be used; names the file and the remedy."""


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256 of the raw public key, as 64 hex digits."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def short(id_: str) -> str:
    """A key id as people are told it."""
    return id_[:_SHORT]


def is_weak(key: Ed25519PublicKey) -> bool:
    """Whether signatures under it prove nothing."""
    return int.from_bytes(key.public_bytes_raw(), "little") % 2**255 in _WEAK


def load_public_key(path: Path) -> Ed25519PublicKey:
    """A PEM public key, as `openssl pkey -pubout` writes it. Raises KeyFileError."""
    place = shown(str(path))
    try:
        key = serialization.load_pem_public_key(read_pem(path))
    except (UnreadableError, ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(
            f"{place}: not a readable Ed25519 public key in PEM: {shown(str(error))}; make one from the "
            "private key with openssl pkey -pubout"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{place}: not an Ed25519 key; make one with openssl genpkey -algorithm ed25519")
    if is_weak(key):
        raise KeyFileError(f"{place}: anybody can sign under this key; make another")
    return key


def read_pem(path: Path) -> bytes:
    """Raises UnreadableError."""
    return bounded.read(path, max_bytes=MAX_PEM_BYTES)
