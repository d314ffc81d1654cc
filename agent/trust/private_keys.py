"""Private keys of Ed25519 in PEM: the station's own, and those of the workshop."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agent.durable import replace_file
from agent.foreign import shown
from agent.settings.bounded import UnreadableError
from agent.settings.credentials import CredentialError, check_private
from agent.trust.keys import KeyFileError, load_public_key, read_pem

OWNER_ALONE = 0o600


def load_private_key(
    path: Path, *, remedy: str = "make one with plumbline-lab keys new"
) -> Ed25519PrivateKey:
    """An unencrypted PEM key, as `plumbline-lab keys new` writes it. Raises KeyFileError."""
    place = shown(str(path))
    try:
        key = serialization.load_pem_private_key(read_pem(path), password=None)
    except (UnreadableError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(
            f"{place}: not a readable Ed25519 private key in PEM: {shown(str(error))}; {remedy}"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{place}: not an Ed25519 key; {remedy}")
    return key


def private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def public_half(path: Path) -> Path:
    """Where the public half of the station's key lies."""
    return path.with_name(path.name + ".pub")


def station_key(path: Path) -> Ed25519PrivateKey:
    """The station's own key, made at its first start, and its public half beside it.

    Raises KeyFileError; a file that is no key, or that every user can read, is left as it is, for whoever has
    told others of that key.
    """
    try:
        if not path.exists():
            replace_file(path, [private_pem(Ed25519PrivateKey.generate())], mode=OWNER_ALONE)
        check_private(path, key="the station's key")
        key = load_private_key(
            path, remedy="bring it back, or move it away for a new one, which receivers must be told of"
        )
        beside, public = public_half(path), public_pem(key.public_key())
        if not beside.is_file() or beside.read_bytes() != public:
            replace_file(beside, [public])
    except CredentialError as error:
        raise KeyFileError(f"{error}: move it away for a new one, which receivers must be told of") from error
    except OSError as error:
        raise KeyFileError(
            f"{shown(str(error.filename or path))}: the station's key cannot be made or read "
            f"({error.strerror}); the agent's user must own folder and file, on a disk that can be written"
        ) from error
    return key


def station_public_key(path: Path) -> Ed25519PublicKey:
    """Its public half, for whoever may not read the key. Raises KeyFileError."""
    beside = public_half(path)
    if not beside.exists():
        raise KeyFileError(f"{shown(str(beside))}: there is none yet; the agent makes it at its first start")
    return load_public_key(beside)
