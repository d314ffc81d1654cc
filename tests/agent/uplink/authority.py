"""A certificate authority in a folder, for brokers and for those who connect to them."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
PEM = serialization.Encoding.PEM


class Authority:
    """`ca_file`, and certificates issued by it, each with its key beside it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.ca_file = folder / f"{name}.pem"
        basics = x509.BasicConstraints(ca=True, path_length=0)
        unsigned = self._unsigned(self._name, self._key, (-2, 2)).add_extension(basics, critical=True)
        self.ca_file.write_bytes(unsigned.sign(self._key, hashes.SHA256()).public_bytes(PEM))

    def certify(
        self,
        name: str,
        *,
        address: str | None = None,
        days: tuple[int, int] = (-1, 1),
        password: str | None = None,
    ) -> tuple[Path, Path]:
        """Certificate and key for `name` (and an IP address), valid over `days` from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        unsigned = self._unsigned(_named(name), key, days)
        if address is not None:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            unsigned = unsigned.add_extension(names, critical=False)
        serial = x509.random_serial_number()
        certificate_file, key_file = self._folder / f"{serial}.pem", self._folder / f"{serial}.key"
        certificate_file.write_bytes(unsigned.sign(self._key, hashes.SHA256()).public_bytes(PEM))
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password is not None:
            encryption = serialization.BestAvailableEncryption(password.encode())
        key_file.touch(mode=0o640)
        key_file.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption))
        return certificate_file, key_file

    def _unsigned(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: tuple[int, int]
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + days[0] * DAY)
            .not_valid_after(now + days[1] * DAY)
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
