"""Who may read and write over OPC UA: the server's certificate and key, one policy, and who is trusted.

A client is judged when it activates its session, by the certificate with which its secure channel was
made, because it has proved to have the key of that one. asyncua itself lets a channel without security
be opened, so that clients can ask for endpoints, and its certificate validator is not called for a
session that names no certificate: neither is relied upon.

Not covered: certificate authorities and revocation lists, for a client is trusted by its own
certificate; user names and passwords.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from agent.foreign import shown
from agent.gateways.gateway import GatewayError
from agent.gateways.opcua_binding import WRITER, WritersOnly
from agent.settings import bounded
from agent.settings.credentials import READABLE, check_private, locate
from agent.settings.gateways import OpcUaGateway

MAX_BYTES = 100_000  # of a certificate or key


class Clients:
    """Lets in whoever signs and encrypts; with `trusted`, in DER, only whose certificate is among it.

    Those of `writers` are let in and may write; None: whoever is let in may.
    """

    def __init__(self, trusted: frozenset[bytes] | None, writers: frozenset[bytes] | None = None) -> None:
        self._trusted = trusted if trusted is None or writers is None else trusted | writers
        self._writers = writers

    def get_user(
        self,
        iserver: Any,
        username: str | None = None,
        password: str | None = None,
        certificate: bytes | None = None,
    ) -> User | None:
        """A reader or writer, or None; asyncua calls it with the channel's certificate in DER."""
        if not certificate or (self._trusted is not None and certificate not in self._trusted):
            return None
        theirs = x509.load_der_x509_certificate(certificate)
        valid = theirs.not_valid_before_utc <= datetime.now(timezone.utc) <= theirs.not_valid_after_utc
        if not valid:
            return None
        may_write = self._writers is None or certificate in self._writers
        return User(role=UserRole.User, name=WRITER if may_write else None)


async def secure(server: Server, settings: OpcUaGateway) -> None:
    """Before the server's `init`. Raises GatewayError or CredentialError naming a file that is not right."""
    if settings.certificate_file is None or settings.key_file is None:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        return
    key_file = locate(settings.key_file, key="key_file")
    _check_pair(settings.certificate_file, key_file)
    check_private(key_file, key="key_file")
    trusted = _allowed(settings.trusted_folder, "trusted_folder")
    clients = Clients(trusted, _allowed(settings.writers_folder, "writers_folder"))
    await server.load_certificate(settings.certificate_file, "pem")
    await server.load_private_key(key_file, format="pem")
    server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt], WritersOnly())
    server.iserver.set_user_manager(clients)


def _allowed(folder: Path | None, key: str) -> frozenset[bytes] | None:
    return None if folder is None else certificates_in(folder, key)


def certificates_in(folder: Path, key: str = "trusted_folder") -> frozenset[bytes]:
    """The certificates in `folder`, in DER. Raises GatewayError naming the file that is none."""
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise GatewayError(
            f"{key}: {folder}: {error.strerror}; make it and put the clients' certificates there"
        ) from error
    return frozenset(_certificate(path, key).public_bytes(Encoding.DER) for path in files)


def _certificate(path: Path, key: str) -> x509.Certificate:
    data = _read(path, key)
    try:
        pem = data.lstrip().startswith(b"-----")
        return x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise GatewayError(f"{key}: {path}: not a certificate in PEM or DER ({error})") from error


def _check_pair(certificate_file: Path, key_file: Path) -> None:
    certificate = _certificate(certificate_file, "certificate_file")
    try:
        key = load_pem_private_key(_read(key_file, "key_file"), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise GatewayError(f"key_file: {key_file}: no plain private key in PEM ({error})") from error
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise GatewayError(
            f"key_file: {key_file}: it is not the key of certificate_file {certificate_file}; "
            "give the two that were made together"
        )


def _read(path: Path, key: str) -> bytes:
    try:
        return bounded.read(path, max_bytes=MAX_BYTES)
    except bounded.UnreadableError as error:
        raise GatewayError(f"{key}: {shown(str(path))}: {error}; {READABLE}") from error
