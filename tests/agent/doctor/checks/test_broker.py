"""The broker is asked as the station asks, by another name: a session of the station's is not touched."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish

from agent.clock import ManualClock
from agent.doctor.checks import broker
from agent.remote.settings import preflight
from agent.uplink.mqtt.link_state import LinkState
from tests.agent.doctor.sites import site, states, told
from tests.agent.outbox.rows import TOPICS
from tests.agent.uplink.links import connected, received
from tests.agent.uplink.stations import hears, mqtt
from tests.brokers import HOST, Mosquitto, Subscriber, eventually, free_port

PROTOCOLS = ("5", "3.1.1")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Mosquitto]:
    one = Mosquitto(tmp_path / "mosquitto")
    one.start()
    yield one
    one.stop()


def test_a_broker_that_lets_us_in_is_good(tmp_path: Path, running: Mosquitto) -> None:
    one = site(tmp_path, mqtt={"port": running.port})
    assert states(broker.reach, one) == ["ok"]
    assert told(broker.login, one, "ok").words == "lets us in as nobody in particular, by MQTT 5"
    old = site(tmp_path, mqtt={"port": running.port, "protocol": "3.1.1"})
    assert "by MQTT 3.1.1" in told(broker.login, old, "ok").words


def test_the_stations_own_connection_stays(tmp_path: Path, running: Mosquitto) -> None:
    one = site(tmp_path, mqtt={"port": running.port}, identity={"station": "cell3"})
    beside = Subscriber(running.port, "#", client_id="plumbline-site-area-line-cell3")
    beside.start()
    assert states(broker.login, one) == ["ok"]
    eventually(lambda: beside.connections == 1, "it is connected still")
    beside.stop()
    assert beside.received == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_broker_that_names_its_clients_itself_keeps_what_waits_for_the_station(
    tmp_path: Path, protocol: str
) -> None:
    """It takes the question for the station's own return."""
    users, word = tmp_path / "users", tmp_path / "word"
    users.touch(0o600)
    for who in (TOPICS.station, "mes"):
        subprocess.run(["mosquitto_passwd", "-b", users, who, "hunter-2-word"], check=True)
    word.write_text("hunter-2-word")
    word.chmod(0o600)
    naming = Mosquitto(tmp_path / "mosquitto", f"password_file {users}", "use_username_as_clientid true")
    naming.start()
    asked = {"protocol": protocol, "username": TOPICS.station, "password_file": str(word)}
    one = site(tmp_path, mqtt={"port": naming.port, **asked})
    mes: dict[str, Any] = {
        "hostname": HOST,
        "port": naming.port,
        "auth": {"username": "mes", "password": "hunter-2-word"},
    }
    try:
        with connected(mqtt(naming.port, **asked)) as link:
            assert states(broker.login, one) == ["ok"]
            eventually(lambda: link.state.connects == 2 and hears(link), "the station is back")
            publish.single(TOPICS.cmd("ping"), b"first", qos=1, **mes)
            assert received(link).payload == b"first"
        publish.single(TOPICS.cmd("ping"), b"it waits", qos=1, **mes)
        assert states(broker.login, one) == ["ok"]
        with connected(mqtt(naming.port, **asked)) as link:
            assert [received(link).payload for _ in range(2)] == [b"first", b"it waits"]
    finally:
        naming.stop()


def test_the_station_that_asks_looks_at_its_own_connection(tmp_path: Path) -> None:
    one = site(tmp_path)
    up = LinkState(
        connected=True,
        protocol="5",
        reason="connected to broker:8883",
        since=ManualClock().utc_now(),
        connects=1,
    )
    said = told(broker.login, replace(one, link=up), "ok")
    assert said.words == "the station is connected to broker:8883, by MQTT 5"
    down = replace(up, connected=False, protocol=None, reason="broker:8883: not authorised")
    assert told(broker.login, replace(one, link=down), "wrong").words == "broker:8883: not authorised"


def test_a_port_where_nobody_listens_is_wrong_and_nobody_is_asked_to_log_in(tmp_path: Path) -> None:
    one = site(tmp_path, mqtt={"port": free_port()})
    assert "connection refused" in told(broker.reach, one, "wrong").words
    assert states(broker.login, one) == ["skipped"]


def test_a_name_that_nobody_knows_is_wrong(tmp_path: Path) -> None:
    one = site(tmp_path, mqtt={"host": "broker.invalid"})
    assert "does not resolve" in told(broker.reach, one, "wrong").words


def test_a_broker_that_wants_a_login_is_wrong_and_the_password_is_not_said(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("")
    guarded = Mosquitto(
        tmp_path / "mosquitto", "allow_anonymous false", f"password_file {tmp_path / 'users'}"
    )
    guarded.start()
    word = tmp_path / "word"
    word.write_text("hunter-2-word")
    word.chmod(0o600)
    try:
        one = site(tmp_path, mqtt={"port": guarded.port, "username": "u", "password_file": "word"})
        said = told(broker.login, one, "wrong")
    finally:
        guarded.stop()
    assert "mqtt.password_file" in said.remedy and "hunter" not in said.words + said.remedy


def test_a_server_that_says_nothing_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "LOGIN_S", 0.3)
    with socket.create_server((HOST, 0)) as silent:
        one = site(tmp_path, mqtt={"port": silent.getsockname()[1], "protocol": "5"})
        assert "no answer in time" in told(broker.login, one, "wrong").words


def test_secrets_of_systemd_keep_it_from_logging_in(tmp_path: Path, running: Mosquitto) -> None:
    one = site(tmp_path, mqtt={"port": running.port, "username": "u", "password_file": "%d/word"})
    assert "run this as root" in told(broker.login, one, "skipped").words


def test_gateways_that_connect_are_tried(tmp_path: Path, running: Mosquitto) -> None:
    assert states(broker.gateways, site(tmp_path)) == ["skipped"]
    there = {"kind": "sparkplug", "port": running.port}
    gone = {"kind": "webhook", "url": f"http://127.0.0.1:{free_port()}/secret-token"}
    one = site(tmp_path, gateways=[there, gone])
    assert states(broker.gateways, one) == ["ok", "wrong"]
    assert "secret-token" not in told(broker.gateways, one, "wrong").words
