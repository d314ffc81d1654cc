"""TLS to the broker: what it must prove, what we show it, and what may be wrong with ours.

Files are read anew for every connection, so a renewed certificate counts at the next one. Under
TLS 1.3 a broker refuses our certificate after the handshake and paho forgets its words; `TlsSocket`
keeps them, and `doubt` says what we can see ourselves. A certificate that looks bad to us is shown
all the same: our clock may be wrong and the broker's right.
"""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from agent.clock import rfc3339
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings import bounded
from agent.settings.credentials import READABLE, locate, read_secret
from agent.settings.settings import Mqtt

READABLE_BY_OTHERS = 0o004
MAX_BYTES = 4_000_000  # of all authorities in one file; a system's own are 0.2 MB


class CertificateError(PlumblineError):
    """A certificate or key cannot be used; the text names key, file and remedy."""


class TlsSocket(ssl.SSLSocket):
    """Keeps the alert with which the broker ended the conversation, and closes when a handshake fails."""

    alert: str | None = None

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()  # paho would leave it to the garbage collector
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except ssl.SSLError as error:
            if "ALERT" in (error.reason or ""):
                self.alert = error.reason
            raise


def tls_context(settings: Mqtt) -> ssl.SSLContext:
    """TLS 1.2 or newer, the broker's certificate checked, ours at hand. Raises a PlumblineError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = TlsSocket
    if settings.ca_file is None:
        context.load_default_certs()
    else:
        path, data = read_pem(settings.ca_file, "mqtt.ca_file")
        try:
            context.load_verify_locations(cadata=data.decode())
        except (ssl.SSLError, ValueError) as error:
            raise CertificateError(
                f"mqtt.ca_file: {path}: no certificates in PEM in it; take the file of the broker's CA"
            ) from error
    if settings.cert_file is not None and settings.key_file is not None:
        _show(context, settings, settings.cert_file, settings.key_file)
    return context


def doubt(settings: Mqtt, *, station: str, now: datetime) -> str | None:
    """Why a broker may not accept our certificate, with the remedy; None when it looks good, or is not set.

    Raises a PlumblineError.
    """
    if settings.cert_file is None:
        return None
    ours = certificate(settings.cert_file)
    begins, ends = ours.not_valid_before_utc, ours.not_valid_after_utc
    names = [str(one.value) for one in ours.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    clock = f"this machine's clock says {now:%Y-%m-%d}"  # the day, so that it is one text for long
    if now > ends:
        return f"our certificate ended on {rfc3339(ends)}; renew it and replace mqtt.cert_file ({clock})"
    if now < begins:
        return f"our certificate begins on {rfc3339(begins)} only; wait, or set the clock ({clock})"
    if names != [station]:
        return (
            f"our certificate is for {', '.join(names) or 'nobody'}, not for {station!r}; "
            "have one issued whose common name is identity.station"
        )
    return None


def certificate(cert_file: Path) -> x509.Certificate:
    """The first one in mqtt.cert_file. Raises a PlumblineError."""
    path, data = read_pem(cert_file, "mqtt.cert_file")
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError as error:
        raise CertificateError(
            f"mqtt.cert_file: {path}: no certificate in PEM in it; take the one that the plant's CA issued"
        ) from error


def _show(context: ssl.SSLContext, settings: Mqtt, cert_file: Path, key_file: Path) -> None:
    ours = certificate(cert_file)
    key_path, key_data = read_pem(key_file, "mqtt.key_file")
    if key_path.stat().st_mode & READABLE_BY_OTHERS:
        raise CertificateError(
            f"mqtt.key_file: {key_path}: every user of this machine can read the key; chmod 640 it, and have "
            "a new one issued if others did"
        )
    password = None
    if settings.key_password_file is not None:
        password = read_secret(settings.key_password_file, key="mqtt.key_password_file")
    try:
        key = load_pem_private_key(key_data, password.encode() if password is not None else None)
    except TypeError as error:  # a password where none is needed, or none where one is
        remedy = "set" if password is None else "remove"
        state = "encrypted" if password is None else "not encrypted"
        raise CertificateError(
            f"mqtt.key_file: {key_path}: the key is {state}; {remedy} mqtt.key_password_file"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(
            f"mqtt.key_file: {key_path}: no private key in PEM, or mqtt.key_password_file is wrong ({error})"
        ) from error
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != ours.public_key().public_bytes(*form):
        raise CertificateError(
            f"mqtt.key_file: {key_path}: it is not the key of mqtt.cert_file; give the two that were made "
            "together, or have a certificate issued for this key"
        )
    # Without a password OpenSSL would ask at the terminal; a key that needs none does not call this.
    secret = password or ""
    try:
        context.load_cert_chain(locate(cert_file, key="mqtt.cert_file"), key_path, lambda: secret)
    except ssl.SSLError as error:
        raise CertificateError(f"mqtt.cert_file: {cert_file}: it cannot be used ({error.reason})") from error


def read_pem(path: Path, key: str) -> tuple[Path, bytes]:
    """Where the file of settings key `key` really is, and what it holds. Raises a PlumblineError."""
    place = locate(path, key=key)
    try:
        return place, bounded.read(place, max_bytes=MAX_BYTES)
    except bounded.UnreadableError as error:
        raise CertificateError(f"{key}: {shown(str(place))}: {error}; {READABLE}") from error
