"""Certificates that have ended or are about to are said, the broker's, ours and the CA's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from agent.clock import ManualClock, SystemClock
from agent.doctor.checks import certificates
from agent.doctor.machine import Machine
from agent.errors import PlumblineError
from tests.agent.doctor.sites import at, site, states, told
from tests.agent.uplink.authority import Authority
from tests.brokers import HOST, Mosquitto

LOOKS = (certificates.of_broker, certificates.ours, certificates.of_authority)


@pytest.fixture
def plant(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "plant")


@pytest.fixture
def broker(tmp_path: Path, plant: Authority) -> Iterator[Mosquitto]:
    certificate, key = plant.certify("broker", address=HOST)
    one = Mosquitto(tmp_path / "mosquitto", f"certfile {certificate}", f"keyfile {key}")
    one.start()
    yield one
    one.stop()


def here(folder: Path) -> Machine:
    return at(SystemClock(), folder)


def in_days(folder: Path, days: float) -> Machine:
    return at(ManualClock(datetime.now(timezone.utc) + timedelta(days=days)), folder)


def test_without_tls_they_are_skipped(tmp_path: Path) -> None:
    assert [states(look, site(tmp_path)) for look in LOOKS] == [["skipped"]] * 3


def test_those_that_are_about_to_end_are_noted_with_their_day(
    tmp_path: Path, plant: Authority, broker: Mosquitto
) -> None:
    ours = plant.certify("station", days=(-1, 90))
    mqtt = {"port": broker.port, "tls": True, "ca_file": str(plant.ca_file)}
    mqtt |= {"cert_file": str(ours[0]), "key_file": str(ours[1])}
    one = site(tmp_path, on=here(tmp_path), mqtt=mqtt)
    assert [states(look, one) for look in LOOKS] == [["note"], ["ok"], ["note"]]
    assert told(certificates.ours, one, "ok").words.endswith(" 89 days from now")


def test_those_that_last_are_good_and_those_that_have_ended_are_wrong(
    tmp_path: Path, plant: Authority, broker: Mosquitto
) -> None:
    ours = plant.certify("station", days=(-1, 90))
    mqtt = {"port": broker.port, "tls": True, "ca_file": str(plant.ca_file)}
    mqtt |= {"cert_file": str(ours[0]), "key_file": str(ours[1])}
    early = site(tmp_path, on=in_days(tmp_path, -60), mqtt=mqtt)
    assert states(certificates.of_broker, early) == states(certificates.of_authority, early) == ["ok"]
    late = site(tmp_path, on=in_days(tmp_path, 200), mqtt=mqtt)
    assert [states(look, late) for look in LOOKS] == [["wrong"]] * 3


def test_a_broker_whose_certificate_has_ended_or_is_of_another_ca_is_wrong(
    tmp_path: Path, plant: Authority
) -> None:
    certificate, key = plant.certify("broker", address=HOST, days=(-2, -1))
    one = Mosquitto(tmp_path / "mosquitto", f"certfile {certificate}", f"keyfile {key}")
    one.start()
    other = Authority(tmp_path, "other")
    try:
        for ca_file, words in ((plant.ca_file, "has expired"), (other.ca_file, "not trusted")):
            mqtt = {"port": one.port, "tls": True, "ca_file": str(ca_file)}
            said = told(certificates.of_broker, site(tmp_path, on=here(tmp_path), mqtt=mqtt), "wrong")
            assert words in said.words
    finally:
        one.stop()


def test_a_broker_that_is_away_is_skipped(tmp_path: Path, plant: Authority) -> None:
    mqtt = {"port": 1, "tls": True, "ca_file": str(plant.ca_file)}
    assert states(certificates.of_broker, site(tmp_path, on=here(tmp_path), mqtt=mqtt)) == ["skipped"]


def test_a_station_without_a_certificate_is_noted_and_one_of_another_name_is_wrong(
    tmp_path: Path, plant: Authority
) -> None:
    mqtt: dict[str, object] = {"tls": True, "ca_file": str(plant.ca_file)}
    assert states(certificates.ours, site(tmp_path, on=here(tmp_path), mqtt=mqtt)) == ["note"]
    cert, key = plant.certify("somebody")
    mqtt |= {"cert_file": str(cert), "key_file": str(key)}
    said = told(certificates.ours, site(tmp_path, on=here(tmp_path), mqtt=mqtt), "wrong")
    assert "somebody" in said.words and "identity.station" in said.remedy
    _, mqtt["key_file"] = map(str, plant.certify("station"))
    with pytest.raises(PlumblineError, match="it is not the key of"):
        list(certificates.ours(site(tmp_path, on=here(tmp_path), mqtt=mqtt)))


def test_a_ca_file_that_is_none_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    mqtt = {"tls": True, "ca_file": "ca.pem"}
    assert states(certificates.of_authority, site(tmp_path, on=here(tmp_path), mqtt=mqtt)) == ["wrong"]
