"""Over TLS the link talks to a broker that its CA vouches for, and to no other."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.agent.uplink.rows import verdict
from tests.agent.uplink.stations import mqtt, station
from tests.brokers import DEADLINE_S, HOST, Mosquitto, eventually

DAY = datetime.timedelta(days=1)
PEM = serialization.Encoding.PEM


class Authority:
    """A certificate authority in a folder: `ca_file`, and certificates for brokers."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.ca_file = folder / f"{name}.pem"
        basics = x509.BasicConstraints(ca=True, path_length=0)
        unsigned = self._unsigned(self._name, self._key).add_extension(basics, critical=True)
        self.ca_file.write_bytes(unsigned.sign(self._key, hashes.SHA256()).public_bytes(PEM))

    def certify(self, address: str) -> tuple[Path, Path]:
        """Certificate and key of the broker at `address`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        unsigned = self._unsigned(subject, key).add_extension(names, critical=False)
        certificate_file, key_file = self._folder / "broker.pem", self._folder / "broker.key"
        certificate_file.write_bytes(unsigned.sign(self._key, hashes.SHA256()).public_bytes(PEM))
        key_file.write_bytes(
            key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return certificate_file, key_file

    def _unsigned(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
        )


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("ours", ["plant", "somebody"])
def test_only_a_broker_that_the_ca_vouches_for_is_trusted(tmp_path: Path, ours: str) -> None:
    plant = Authority(tmp_path, "plant")
    somebody = Authority(tmp_path, "somebody")
    certificate_file, key_file = plant.certify(HOST)
    broker = Mosquitto(tmp_path / "mosquitto", f"certfile {certificate_file}", f"keyfile {key_file}")
    broker.start()
    ca_file = plant.ca_file if ours == "plant" else somebody.ca_file
    one = station(tmp_path / "outbox.sqlite3", mqtt(broker.port, tls=True, ca_file=ca_file))
    one.start()
    try:
        one.outbox.append([verdict(1)]).result(DEADLINE_S)
        if ours == "plant":
            one.deliver_all()
        else:
            eventually(lambda: "certificate is not trusted" in one.link.state.reason, "the state says why")
            assert "mqtt.ca_file" in one.link.state.reason
            assert one.outbox.depth().rows == 1
    finally:
        one.stop()
        broker.stop()
