"""Who is let in over OPC UA, with clients that keep the rules and one that does not."""

from __future__ import annotations

import asyncio
import datetime
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from agent.gateways.gateway import GatewayError
from agent.gateways.opcua import NAMESPACE
from tests.agent.gateways.hmi import Hmi, hmi
from tests.agent.gateways.records import result_id, verdict
from tests.agent.outbox.rows import TOPICS
from tests.brokers import DEADLINE_S
from tests.odd_files import no_regular_files

Pair = tuple[Path, Path]


def certificate(folder: Path, name: str, *, days: float = 1) -> tuple[Path, Path]:
    """A self-signed application certificate and its key; negative `days`: it has ended."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    uri = x509.UniformResourceIdentifier(f"urn:plumbline:{TOPICS.station}")
    names = x509.SubjectAlternativeName([uri, x509.DNSName(socket.gethostname())])
    unsigned = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(names, critical=False)
    )
    pem = serialization.Encoding.PEM
    certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}.key.pem"
    certificate_file.write_bytes(unsigned.sign(key, hashes.SHA256()).public_bytes(pem))
    key_file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    key_file.chmod(0o600)
    return certificate_file, key_file


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """Certificates and keys: keys of 2048 bits take their time."""
    folder = tmp_path_factory.mktemp("certificates")
    made = {name: certificate(folder, name) for name in ("server", "known", "stranger")}
    return {**made, "ended": certificate(folder, "ended", days=-1)}


@pytest.fixture(scope="module")
def guarded(pairs: dict[str, Pair], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hmi]:
    """A server that trusts two clients, of whom one has a certificate that ended."""
    folder = tmp_path_factory.mktemp("trusted")
    for name in ("known", "ended"):
        shutil.copy(pairs[name][0], folder)
    one = hmi(certificate_file=pairs["server"][0], key_file=pairs["server"][1], trusted_folder=folder)
    one.sink.open()
    one.deliver(verdict(1))
    yield one
    one.sink.close()


def read(one: Hmi, pair: Pair | None = None) -> Any:
    """What a client with this certificate, or without any, reads."""

    async def reading() -> Any:
        client = Client(one.url)
        client.application_uri = f"urn:plumbline:{TOPICS.station}"
        if pair is not None:
            mode = ua.MessageSecurityMode.SignAndEncrypt
            await client.set_security(SecurityPolicyBasic256Sha256, *pair, mode=mode)
        async with client:
            index = await client.get_namespace_index(NAMESPACE)
            return await client.get_node(ua.NodeId("top.ResultId", index)).read_value()

    return asyncio.run(asyncio.wait_for(reading(), DEADLINE_S))


def test_a_client_whose_certificate_is_trusted_reads(guarded: Hmi, pairs: dict[str, Pair]) -> None:
    assert read(guarded, pairs["known"]) == result_id(1)


@pytest.mark.parametrize("name", ["stranger", "ended"])
def test_a_client_with_another_certificate_or_one_that_ended_is_refused(
    guarded: Hmi, pairs: dict[str, Pair], name: str
) -> None:
    with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied"):
        read(guarded, pairs[name])


def test_a_client_without_encryption_finds_nothing_to_connect_to(guarded: Hmi) -> None:
    with pytest.raises(ua.UaError, match="No matching endpoints"):
        read(guarded)


@pytest.fixture
def heedless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that do not care what the server offers."""
    monkeypatch.setattr(Client, "find_endpoint", staticmethod(lambda endpoints, *_: endpoints[0]))


@pytest.mark.usefixtures("heedless")
def test_a_client_that_does_without_encryption_all_the_same_is_refused(guarded: Hmi) -> None:
    with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied"):
        read(guarded)


@pytest.mark.slow
@pytest.mark.usefixtures("heedless")
def test_without_a_folder_any_certificate_will_do_but_one_there_must_be(pairs: dict[str, Pair]) -> None:
    one = hmi(certificate_file=pairs["server"][0], key_file=pairs["server"][1])
    one.sink.open()
    try:
        one.deliver(verdict(1))
        assert read(one, pairs["stranger"]) == result_id(1)
        with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied"):
            read(one)
    finally:
        one.sink.close()


def test_a_bad_file_is_named_with_its_key(pairs: dict[str, Pair], tmp_path: Path) -> None:
    cert, key = pairs["server"]
    none, text, folder = tmp_path / "none.pem", tmp_path / "text.pem", tmp_path / "trusted"
    text.write_text("no certificate")
    folder.mkdir()
    odd_files = no_regular_files(tmp_path)
    (folder / "README").write_text("put certificates here")
    for security, words in (
        ({"certificate_file": none, "key_file": key}, f"certificate_file: {none}: No such file"),
        ({"certificate_file": text, "key_file": key}, f"certificate_file: {text}: not a certificate"),
        ({"certificate_file": cert, "key_file": text}, f"key_file: {text}: no plain private key"),
        ({"certificate_file": cert, "key_file": pairs["known"][1]}, "it is not the key of certificate_file"),
        ({"certificate_file": cert, "key_file": key, "trusted_folder": none}, f"trusted_folder: {none}: No"),
        (
            {"certificate_file": cert, "key_file": key, "trusted_folder": folder},
            f"trusted_folder: {folder / 'README'}: not a certificate",
        ),
        *(({"certificate_file": odd, "key_file": key}, f"certificate_file: {odd}: is ") for odd in odd_files),
        *(({"certificate_file": cert, "key_file": odd}, f"key_file: {odd}: is ") for odd in odd_files),
    ):
        one = hmi(**security)
        with pytest.raises(GatewayError) as caught:
            one.sink.open()
        assert words in str(caught.value)
        one.sink.close()
