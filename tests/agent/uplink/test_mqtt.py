"""The link against a real broker: status and last will, limits, and what it says of a failure."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.outbox.rows import TOPICS, crop, verdict
from tests.agent.uplink.stations import Station, mqtt, station, status
from tests.brokers import DEADLINE_S, Mosquitto, Subscriber, eventually

ROOT = Path(__file__).parents[3]


def states_of(subscriber: Subscriber) -> list[tuple[str, bool]]:
    said = [got for got in subscriber.received if got.topic == TOPICS.status()]
    return [(json.loads(got.payload)["state"], got.retained) for got in said]


def listening(port: int, client_id: str) -> Subscriber:
    subscriber = Subscriber(port, f"{TOPICS.prefix}/#", client_id)
    subscriber.start()
    return subscriber


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_status_is_retained_and_a_clean_stop_says_stopped(
    tmp_path: Path, mosquitto: Mosquitto, protocol: str
) -> None:
    early = listening(mosquitto.port, "early")
    one = station(tmp_path / "outbox.sqlite3", mqtt(mosquitto.port, protocol))
    one.link.publish_status(status("degraded", "warming up"))
    one.link.publish_status(status("online"))
    one.start()
    eventually(lambda: states_of(early) == [("online", False)], "the latest status is said")
    one.stop()
    eventually(lambda: states_of(early)[1:] == [("stopped", False)], "the stop is said")
    late = listening(mosquitto.port, "late")
    eventually(lambda: states_of(late) == [("stopped", True)], "it is retained")
    for subscriber in (early, late):
        subscriber.stop()


@pytest.mark.slow
def test_a_killed_agent_is_reported_offline_by_the_broker(tmp_path: Path, mosquitto: Mosquitto) -> None:
    subscriber = listening(mosquitto.port, "mes")
    command = [sys.executable, "-m", "tests.agent.uplink.vanishing"]
    arguments = [str(tmp_path / "outbox.sqlite3"), str(mosquitto.port)]
    with subprocess.Popen([*command, *arguments], cwd=ROOT) as child:
        try:
            eventually(lambda: states_of(subscriber) == [("online", False)], "it is online")
        finally:
            child.send_signal(signal.SIGKILL)
    eventually(lambda: states_of(subscriber)[1:] == [("offline", False)], "the last will is said")
    subscriber.stop()
    late = listening(mosquitto.port, "late")
    eventually(lambda: states_of(late) == [("offline", True)], "it is retained")
    late.stop()


def test_metrics_reach_who_listens_and_are_dropped_without_a_broker(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    subscriber = listening(mosquitto.port, "mes")
    one = station(tmp_path / "outbox.sqlite3", mqtt(mosquitto.port))
    one.link.publish_metrics(b'{"fps":0}')
    one.start()
    eventually(lambda: one.link.state.connected, "it is connected")
    one.link.publish_metrics(b'{"fps":1}')
    eventually(lambda: subscriber.received, "metrics arrive")
    assert [got.payload for got in subscriber.received] == [b'{"fps":1}']
    one.stop()
    subscriber.stop()


def test_a_crop_over_the_brokers_packet_limit_does_not_hold_up_the_verdicts(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto", "max_packet_size 20000")
    broker.start()
    one = station(tmp_path / "outbox.sqlite3", mqtt(broker.port))
    one.start()
    try:
        one.outbox.append([crop(1, 30_000), verdict(1), crop(2, 10_000), verdict(2)]).result(DEADLINE_S)
        eventually(lambda: one.outbox.depth().rows == 1, "the others are delivered")
        assert [refusal.seq for refusal in one.courier.state.refused] == [1]
        assert one.link.state.connects == 1
    finally:
        one.stop()
        broker.stop()


@pytest.mark.slow
def test_rows_that_the_broker_may_not_take_from_us_stay(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"topic write {TOPICS.crop('top')}\n", encoding="utf-8")
    broker = Mosquitto(tmp_path / "mosquitto", f"acl_file {acl}")
    broker.start()
    one = station(tmp_path / "outbox.sqlite3", mqtt(broker.port))
    one.start()
    try:
        one.outbox.append([verdict(1), crop(1), verdict(2)]).result(DEADLINE_S)
        eventually(lambda: one.courier.state.refusals == 2, "the verdicts are refused")
        eventually(lambda: one.outbox.depth().rows == 2, "the crop is delivered")
        assert "Not authorized (0x87)" in one.courier.state.refused[0].reason
    finally:
        one.stop()
        broker.stop()


def test_the_window_leaves_the_broker_room_for_the_status(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto", "max_inflight_messages 5")
    broker.start()
    one = station(tmp_path / "outbox.sqlite3", mqtt(broker.port))
    one.start()
    try:
        eventually(lambda: one.courier.state.connected, "it is connected")
        assert one.courier.state.window == 4
    finally:
        one.stop()
        broker.stop()


def reason_of(one: Station, words: str) -> str:
    """Start, and wait until the state's reason contains `words`; the thread must live on."""
    one.start()
    try:
        eventually(lambda: words in one.link.state.reason, f"the reason says {words!r}")
        assert one.link.failure is None
        return one.link.state.reason
    finally:
        one.stop()


def test_a_name_that_does_not_resolve_is_a_state_with_a_remedy(tmp_path: Path) -> None:
    settings = mqtt(1883, host="broker.invalid")
    reason = reason_of(station(tmp_path / "outbox.sqlite3", settings), "does not resolve")
    assert "broker.invalid" in reason and "mqtt.host" in reason


def test_wrong_credentials_are_a_state_with_a_remedy(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "agent", "right"], check=True)
    broker = Mosquitto(tmp_path / "mosquitto", "allow_anonymous false", f"password_file {passwords}")
    broker.start()
    secret = tmp_path / "secret"
    settings = mqtt(broker.port, username="agent", password_file=secret)
    try:
        assert "mqtt.password_file" in reason_of(station(tmp_path / "1.sqlite3", settings), "No such file")
        secret.touch(mode=0o600)
        secret.write_text("wrong\n", encoding="utf-8")
        assert "mqtt.password_file" in reason_of(station(tmp_path / "2.sqlite3", settings), "Not authorized")
        secret.write_text("right\n", encoding="utf-8")
        reason_of(station(tmp_path / "3.sqlite3", settings), "connected to")
    finally:
        broker.stop()
