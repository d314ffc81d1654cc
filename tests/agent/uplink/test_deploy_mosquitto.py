"""deploy/mosquitto: a broker that runs with exactly those files, who gets in, and what they may do."""

from __future__ import annotations

import getpass
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.contract.row import Row, Waiting
from agent.contract.topics import Topics
from agent.settings.settings import Mqtt
from agent.uplink.mqtt.link import MqttLink
from agent.uplink.shipment import Connected, LinkEvent, Refused
from tests.agent.outbox.rows import TOPICS, verdict
from tests.agent.uplink.authority import Authority
from tests.agent.uplink.links import link_to, next_event, received
from tests.agent.uplink.stations import hears, mqtt, status
from tests.brokers import DEADLINE_S, HOST, Mosquitto, Subscriber, eventually

DEPLOY = Path(__file__).parents[3] / "deploy" / "mosquitto"
INSTALLED = "/etc/mosquitto/plumbline/"
ANOTHER = Topics(site="site", area="area", line="line", station="another")
REFUSED = "the broker said Not authorized (0x87)"


class Plant(Mosquitto):
    """The broker as it is deployed, its paths and port put into a folder of the test."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "mosquitto")
        self.certificates = folder
        self.authority = Authority(folder, "ca")
        for made, name in zip(self.authority.certify("broker", address=HOST), ("pem", "key"), strict=True):
            made.rename(folder / f"broker.{name}")
        (folder / "plumbline.acl").write_bytes((DEPLOY / "plumbline.acl").read_bytes())

    def configuration(self) -> list[str]:
        deployed = (DEPLOY / "plumbline.conf").read_text(encoding="utf-8")
        assert "listener 8883\n" in deployed and INSTALLED in deployed
        here = deployed.replace("listener 8883\n", f"listener {self.port} {HOST}\n")
        here = here.replace(INSTALLED, f"{self.certificates}/")
        debian = [f"persistence_location {self.certificates}/", "persistence true"]
        return [f"user {getpass.getuser()}", *debian, here]

    def settings(self, ours: tuple[Path, Path] | None) -> Mqtt:
        shown = {} if ours is None else {"cert_file": ours[0], "key_file": ours[1]}
        return mqtt(self.port, tls=True, ca_file=self.authority.ca_file, **shown)

    def subscriber(self, name: str, topic_filter: str, client_id: str = "") -> Subscriber:
        """Whoever has the certificate of `name`."""
        context = ssl.create_default_context(cafile=self.authority.ca_file)
        context.load_cert_chain(*self.authority.certify(name))
        return Subscriber(self.port, topic_filter, client_id or name, context)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    broker = Plant(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def mes(plant: Plant) -> Iterator[Subscriber]:
    subscriber = plant.subscriber("mes", "plumbline/v1/#")
    subscriber.start()
    yield subscriber
    subscriber.stop()


@pytest.fixture
def link(plant: Plant) -> Iterator[MqttLink]:
    """The station, connected with its own certificate."""
    one = link_to(plant.settings(plant.authority.certify(TOPICS.station)))
    one.start()
    assert isinstance(next_event(one), Connected)
    yield one
    one.stop()


def published(link: MqttLink, topic: str) -> LinkEvent:
    row = Row(id=topic, kind="event", topic=topic, payload=b"{}", content_type="application/json")
    link.publish(Waiting(seq=1, row=row))
    return next_event(link)


def test_a_station_says_all_that_the_contract_names_and_the_mes_hears_it(
    mes: Subscriber, link: MqttLink
) -> None:
    link.publish_status(status("online"))
    link.publish_metrics(b"{}")
    said = [
        TOPICS.verdict("top"),
        TOPICS.crop("top"),
        TOPICS.crop_header("top"),
        TOPICS.event(),
        TOPICS.rsp("ping"),
        f"{TOPICS.prefix}/config/reported",
    ]
    for topic in said:
        assert not isinstance(published(link, topic), Refused), topic
    expected = {*said, TOPICS.status(), TOPICS.metrics()}
    eventually(lambda: {got.topic for got in mes.received} == expected, "the MES hears it all")


@pytest.mark.parametrize(
    "topic",
    [
        ANOTHER.verdict("top"),
        ANOTHER.status(),
        ANOTHER.cmd("ping"),
        TOPICS.cmd("ping"),
        f"{TOPICS.prefix}/config/desired",
        f"{TOPICS.prefix}/verdict/top/deeper",
        "plumbline/v1/site/area/line",
        "mes/answers/1",
        "$SYS/broker/version",
    ],
)
def test_what_is_not_a_stations_to_write_is_refused(link: MqttLink, topic: str) -> None:
    assert published(link, topic) == Refused(seq=1, reason=REFUSED)


def test_the_mes_commands_and_is_answered_and_no_other_station_listens_in(
    plant: Plant, mes: Subscriber, link: MqttLink
) -> None:
    # mosquitto grants every SUBSCRIBE: what counts is what arrives.
    spy = plant.subscriber(ANOTHER.station, "plumbline/v1/#")
    spy.start()
    eventually(lambda: hears(link), "the station listens")
    mes._client.publish(TOPICS.cmd("ping"), b'{"n":1}', qos=1).wait_for_publish(DEADLINE_S)
    command = received(link)
    assert (command.topic, command.payload) == (TOPICS.cmd("ping"), b'{"n":1}')
    link.acknowledge(command)
    link.respond(TOPICS.rsp("ping"), b'{"code":0}', None)
    eventually(lambda: any(got.topic == TOPICS.rsp("ping") for got in mes.received), "it is answered")
    mes._client.publish(ANOTHER.cmd("ping"), b'{"n":2}', qos=1).wait_for_publish(DEADLINE_S)
    eventually(lambda: spy.received, "the other station hears its own")
    spy.stop()
    assert {got.topic for got in spy.received} == {ANOTHER.cmd("ping")}
    assert link.inbound.empty()


def test_a_valid_certificate_with_another_client_id_does_not_push_that_station_off(
    plant: Plant, mes: Subscriber, link: MqttLink
) -> None:
    intruder = plant.subscriber(ANOTHER.station, ANOTHER.commands(), client_id=TOPICS.station)
    intruder.start()
    mes._client.publish(ANOTHER.cmd("ping"), b"{}", qos=1).wait_for_publish(DEADLINE_S)
    eventually(lambda: intruder.received, "it is in, as what its certificate says")
    assert not isinstance(published(link, TOPICS.event()), Refused)
    assert (link.state.connected, link.state.connects) == (True, 1)
    intruder.stop()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("none", "set mqtt.cert_file and mqtt.key_file"),
        ("another CA", "have ours issued by the CA in its cafile"),
        ("expired", "our certificate ended on"),
    ],
)
def test_whoever_shows_no_valid_certificate_is_told_so_in_words(
    tmp_path: Path, plant: Plant, kind: str, words: str
) -> None:
    shown = {
        "none": None,
        "another CA": Authority(tmp_path, "somebody").certify(TOPICS.station),
        "expired": plant.authority.certify(TOPICS.station, days=(-2, -1)),
    }[kind]
    link = link_to(plant.settings(shown))
    link.start()
    try:
        eventually(lambda: words in link.state.reason, "it is refused in words")
        assert link.state.connects == 0
    finally:
        link.stop()


@pytest.mark.slow
def test_what_was_acknowledged_outlives_a_killed_broker(
    plant: Plant, mes: Subscriber, link: MqttLink
) -> None:
    mes.stop()
    for sequence in range(1, 21):
        link.publish(Waiting(seq=sequence, row=verdict(sequence)))
    acknowledged: list[int] = []
    while len(acknowledged) < 20:
        acknowledged += [seq for event in link.wait(1.0) for seq in getattr(event, "seqs", ())]
    time.sleep(2.0)  # autosave_interval, and for the disk
    plant.kill()
    plant.start()
    again = plant.subscriber("mes", "plumbline/v1/#")
    again.start()
    sent = {verdict(sequence).payload for sequence in range(1, 21)}
    eventually(lambda: sent <= {got.payload for got in again.received}, "all arrived")
    again.stop()


def test_the_hardened_unit_is_valid_and_protects(tmp_path: Path) -> None:
    unit = Path("/lib/systemd/system/mosquitto.service")
    if not unit.exists() or systemd_version() < 250:
        pytest.skip("needs mosquitto's unit and systemd-analyze of systemd 250 or newer")
    drop_in = tmp_path / "mosquitto.service.d" / "hardening.conf"
    drop_in.parent.mkdir()
    drop_in.write_bytes((DEPLOY / "hardening.conf").read_bytes())
    copy = tmp_path / unit.name
    copy.write_bytes(unit.read_bytes())
    verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy)]
    subprocess.run(verify, check=True)
    score = ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", str(copy)]
    subprocess.run(score, check=True)


def systemd_version() -> int:
    """0 without systemd-analyze."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return 0
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    return int(re.findall(r"\d+", said)[0])
