"""The broker is asked as the station asks, by another name: a session of the station's is not touched."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.doctor.checks import broker
from agent.remote.settings import preflight
from tests.agent.doctor.sites import site, states, told
from tests.brokers import HOST, Mosquitto, Subscriber, eventually, free_port


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
