"""Over TLS the link talks to a broker that its CA vouches for, and says in words why it cannot."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.errors import PlumblineError
from agent.settings.settings import Mqtt
from agent.uplink.mqtt.certificates import tls_context
from tests.agent.outbox.rows import TOPICS, verdict
from tests.agent.uplink.authority import Authority
from tests.agent.uplink.stations import mqtt, station
from tests.brokers import DEADLINE_S, HOST, Mosquitto, eventually
from tests.odd_files import no_regular_files

OURS = TOPICS.station


@pytest.fixture
def plant(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "plant")


@contextmanager
def broker_with(tmp_path: Path, certificate: tuple[Path, Path], *extra: str) -> Iterator[Mosquitto]:
    broker = Mosquitto(
        tmp_path / "mosquitto", f"certfile {certificate[0]}", f"keyfile {certificate[1]}", *extra
    )
    broker.start()
    yield broker
    broker.stop()


def reason_of(folder: Path, settings: Mqtt, *words: str) -> str:
    """Wait until the state's reason contains all `words`; the row stays, the thread lives."""
    one = station(folder / "outbox.sqlite3", settings)
    one.start()
    try:
        one.outbox.append([verdict(1)]).result(DEADLINE_S)
        eventually(
            lambda: all(word in one.link.state.reason for word in words),
            f"the reason says {words}",
            20,
        )
        assert one.outbox.depth().rows == 1
        assert one.link.failure is None
        return one.link.state.reason
    finally:
        one.stop()


def test_a_broker_that_our_ca_vouches_for_is_trusted(tmp_path: Path, plant: Authority) -> None:
    with broker_with(tmp_path, plant.certify("broker", address=HOST)) as broker:
        one = station(tmp_path / "outbox.sqlite3", mqtt(broker.port, tls=True, ca_file=plant.ca_file))
        one.start()
        try:
            one.outbox.append([verdict(1)]).result(DEADLINE_S)
            one.deliver_all()
        finally:
            one.stop()


def test_a_broker_from_another_ca_is_not_trusted(tmp_path: Path, plant: Authority) -> None:
    somebody = Authority(tmp_path, "somebody")
    with broker_with(tmp_path, plant.certify("broker", address=HOST)) as broker:
        settings = mqtt(broker.port, tls=True, ca_file=somebody.ca_file)
        reason_of(
            tmp_path, settings, "its certificate is not trusted: it comes from another CA", "mqtt.ca_file"
        )


def test_a_broker_whose_certificate_has_expired_is_named(tmp_path: Path, plant: Authority) -> None:
    with broker_with(tmp_path, plant.certify("broker", address=HOST, days=(-2, -1))) as broker:
        settings = mqtt(broker.port, tls=True, ca_file=plant.ca_file)
        reason_of(tmp_path, settings, "its certificate has expired; have it renewed on the broker", "clock")


def test_a_broker_whose_certificate_is_not_valid_yet_is_named(tmp_path: Path, plant: Authority) -> None:
    with broker_with(tmp_path, plant.certify("broker", address=HOST, days=(1, 2))) as broker:
        settings = mqtt(broker.port, tls=True, ca_file=plant.ca_file)
        reason_of(tmp_path, settings, "its certificate is not valid yet; set this machine's clock")


def test_a_broker_with_the_certificate_of_another_address_is_named(tmp_path: Path, plant: Authority) -> None:
    with broker_with(tmp_path, plant.certify("broker", address="192.0.2.1")) as broker:
        settings = mqtt(broker.port, tls=True, ca_file=plant.ca_file)
        reason_of(tmp_path, settings, "its certificate is for another address; set mqtt.host")


def test_a_broker_with_the_certificate_of_another_name_is_named(tmp_path: Path, plant: Authority) -> None:
    with broker_with(tmp_path, plant.certify("broker", address=HOST)) as broker:
        settings = mqtt(broker.port, host="localhost", tls=True, ca_file=plant.ca_file)
        reason_of(tmp_path, settings, "its certificate is for another name; set mqtt.host")


def test_a_broker_without_tls_is_named(tmp_path: Path, plant: Authority, mosquitto: Mosquitto) -> None:
    settings = mqtt(mosquitto.port, tls=True, ca_file=plant.ca_file)
    reason_of(tmp_path, settings, f"{HOST}:{mosquitto.port}: ", "mqtt.tls")


def test_nothing_older_than_tls_1_2_is_spoken(plant: Authority) -> None:
    context = tls_context(mqtt(1, tls=True, ca_file=plant.ca_file))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname


TLS_VERSIONS = ["TLSv1.2", "TLSv1.3"]


@pytest.fixture(params=TLS_VERSIONS)
def version(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The newest TLS that a broker started from here speaks: OpenSSL reads this when a process begins."""
    limits = tmp_path / "openssl.cnf"
    limits.write_text(
        "openssl_conf = all\n[all]\nssl_conf = tls\n[tls]\nsystem_default = limits\n"
        f"[limits]\nMaxProtocol = {request.param}\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("OPENSSL_CONF", str(limits))
    return str(request.param)


def spoken_by(tmp_path: Path, plant: Authority) -> str | None:
    context = ssl.create_default_context(cafile=plant.ca_file)
    context.load_cert_chain(*plant.certify(OURS))
    with (
        mutual(tmp_path, plant) as broker,
        socket.create_connection((HOST, broker.port)) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as encrypted,
    ):
        return encrypted.version()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_with_certificates_on_both_sides_rows_are_delivered(
    tmp_path: Path, plant: Authority, version: str, protocol: str
) -> None:
    assert spoken_by(tmp_path, plant) == version
    with mutual(tmp_path, plant) as broker:
        certificate_file, key_file = plant.certify(OURS, password="of the key")
        (tmp_path / "password").write_text("of the key\n", encoding="utf-8")
        (tmp_path / "password").chmod(0o600)
        settings = mqtt(
            broker.port,
            protocol,
            tls=True,
            ca_file=plant.ca_file,
            cert_file=certificate_file,
            key_file=key_file,
            key_password_file=tmp_path / "password",
        )
        one = station(tmp_path / "outbox.sqlite3", settings)
        one.start()
        try:
            one.outbox.append([verdict(1)]).result(DEADLINE_S)
            one.deliver_all()
        finally:
            one.stop()


@contextmanager
def mutual(tmp_path: Path, plant: Authority) -> Iterator[Mosquitto]:
    """A broker that wants a certificate from the plant."""
    wanted = (f"cafile {plant.ca_file}", "require_certificate true")
    with broker_with(tmp_path, plant.certify("broker", address=HOST), *wanted) as broker:
        yield broker


def test_no_certificate_where_one_is_wanted_says_what_to_set(
    tmp_path: Path, plant: Authority, version: str
) -> None:
    with mutual(tmp_path, plant) as broker:
        settings = mqtt(broker.port, tls=True, ca_file=plant.ca_file)
        reason_of(tmp_path, settings, "want", "a certificate of ours", "set mqtt.cert_file and mqtt.key_file")


def test_our_certificate_from_a_ca_that_the_broker_does_not_know_says_so(
    tmp_path: Path, plant: Authority, version: str
) -> None:
    somebody = Authority(tmp_path, "somebody")
    with mutual(tmp_path, plant) as broker:
        settings = showing(broker, plant, somebody.certify(OURS))
        reason_of(
            tmp_path,
            settings,
            "not know the CA of mqtt.cert_file",
            "have ours issued by the CA in its cafile",
        )


@pytest.mark.parametrize(
    ("days", "words"),
    [((-2, -1), "our certificate ended on 2"), ((1, 2), "our certificate begins on 2")],
)
def test_our_certificate_out_of_its_days_says_which_and_what_the_clock_says(
    tmp_path: Path, plant: Authority, version: str, days: tuple[int, int], words: str
) -> None:
    with mutual(tmp_path, plant) as broker:
        settings = showing(broker, plant, plant.certify(OURS, days=days))
        reason_of(tmp_path, settings, words, "this machine's clock says 2")


def test_our_certificate_for_another_station_is_the_reason_when_the_broker_does_not_want_it(
    tmp_path: Path, plant: Authority
) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch()
    with broker_with(
        tmp_path,
        plant.certify("broker", address=HOST),
        f"cafile {plant.ca_file}",
        "require_certificate true",
        "allow_anonymous false",
        f"password_file {passwords}",
    ) as broker:
        settings = showing(broker, plant, plant.certify("another"))
        reason_of(tmp_path, settings, f"our certificate is for another, not for {OURS!r}", "identity.station")


def showing(broker: Mosquitto, plant: Authority, ours: tuple[Path, Path], **others: object) -> Mqtt:
    return mqtt(broker.port, tls=True, ca_file=plant.ca_file, cert_file=ours[0], key_file=ours[1], **others)


def test_files_of_ours_that_cannot_be_used_are_named_with_key_and_remedy(
    tmp_path: Path, plant: Authority
) -> None:
    certificate_file, key_file = plant.certify(OURS)
    other_key = plant.certify(OURS)[1]
    locked_key = plant.certify(OURS, password="secret")[1]
    open_key = plant.certify(OURS)[1]
    open_key.chmod(0o644)
    junk = tmp_path / "junk"
    junk.write_bytes(b"\xff nothing to see here")
    junk.chmod(0o640)
    secret = tmp_path / "wrong"
    secret.touch(mode=0o600)
    secret.write_text("wrong\n", encoding="utf-8")
    missing = tmp_path / "missing"
    cases: list[tuple[dict[str, Path], str]] = [
        ({"ca_file": missing}, "mqtt.ca_file: .*missing: No such file or directory; it must exist"),
        ({"ca_file": junk}, "mqtt.ca_file: .*junk: no certificates in PEM"),
        ({"cert_file": missing}, "mqtt.cert_file: .*missing: No such file"),
        ({"cert_file": junk}, "mqtt.cert_file: .*junk: no certificate in PEM"),
        ({"key_file": missing}, "mqtt.key_file: .*missing: No such file"),
        ({"key_file": junk}, "mqtt.key_file: .*junk: no private key in PEM"),
        ({"key_file": other_key}, "it is not the key of mqtt.cert_file"),
        ({"key_file": open_key}, "every user of this machine can read the key; chmod 640"),
        ({"key_file": locked_key}, "the key is encrypted; set mqtt.key_password_file"),
        ({"key_file": locked_key, "key_password_file": secret}, "mqtt.key_password_file is wrong"),
        ({"key_password_file": secret}, "the key is not encrypted; remove mqtt.key_password_file"),
        ({"key_file": Path("%d/key")}, r"mqtt.key_file: %d/key: \$CREDENTIALS_DIRECTORY is not set"),
    ]
    odd = "is (no regular file|larger than)"
    for path in no_regular_files(tmp_path):
        cases += [({key: path}, f"mqtt.{key}: .*: {odd}") for key in ("ca_file", "cert_file", "key_file")]
    right = {"ca_file": plant.ca_file, "cert_file": certificate_file, "key_file": key_file}
    for wrong, words in cases:
        with pytest.raises(PlumblineError, match=words):
            tls_context(mqtt(1, tls=True, **(right | wrong)))


def test_a_certificate_that_was_renewed_is_shown_without_a_restart(tmp_path: Path, plant: Authority) -> None:
    certificate_file, key_file = plant.certify(OURS, days=(-2, -1))
    with mutual(tmp_path, plant) as broker:
        one = station(tmp_path / "outbox.sqlite3", showing(broker, plant, (certificate_file, key_file)))
        one.start()
        try:
            eventually(lambda: "our certificate ended" in one.link.state.reason, "it is refused")
            for old, new in zip((certificate_file, key_file), plant.certify(OURS), strict=True):
                new.replace(old)
            eventually(lambda: one.link.state.connected, "the new one is accepted")
        finally:
            one.stop()
