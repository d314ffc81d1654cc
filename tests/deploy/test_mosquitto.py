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

from agent.contract.arguments import COMMANDS
from agent.contract.row import Row, Waiting
from agent.contract.topics import DESIRED, Topics, group_desired
from agent.settings.settings import Mqtt
from agent.uplink.mqtt.link import MqttLink
from agent.uplink.shipment import Connected, LinkEvent, Refused
from tests.agent.outbox.rows import TOPICS, verdict
from tests.agent.uplink.authority import Authority
from tests.agent.uplink.links import link_to, next_event, received
from tests.agent.uplink.stations import hears, mqtt, status
from tests.brokers import DEADLINE_S, HOST, Mosquitto, Subscriber, eventually

DEPLOY = Path(__file__).parents[2] / "deploy" / "mosquitto"
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
        TOPICS.mark(),
        TOPICS.head(),
        TOPICS.actuation(),
        TOPICS.part("housing"),
        TOPICS.rsp("ping"),
        TOPICS.reported(),
        TOPICS.bundle_get(),
    ]
    for topic in said:
        assert not isinstance(published(link, topic), Refused), topic
    expected = {*said, TOPICS.status(), TOPICS.metrics()}
    eventually(lambda: {got.topic for got in mes.received} == expected, "the MES hears it all")


@pytest.mark.parametrize(
    "topic",
    [
        ANOTHER.verdict("top"),
        ANOTHER.crop("top"),
        ANOTHER.crop_header("top"),
        ANOTHER.event(),
        ANOTHER.mark(),
        ANOTHER.head(),
        ANOTHER.actuation(),
        ANOTHER.part("housing"),
        ANOTHER.status(),
        ANOTHER.metrics(),
        ANOTHER.rsp("ping"),
        ANOTHER.cmd("ping"),
        TOPICS.cmd("ping"),
        TOPICS.desired("config"),
        TOPICS.desired("bundle"),
        TOPICS.bundle_data(),
        ANOTHER.desired("config"),
        ANOTHER.bundle_get(),
        ANOTHER.reported(),
        group_desired("config", "press"),
        group_desired("bundle", "press"),
        "plumbline/v1/fleet/office/turn",
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


DOCUMENTS = {TOPICS.desired(kind) for kind in DESIRED} | {group_desired(kind, "press") for kind in DESIRED}
VERBS = {
    "mes": {"ping", "ack", "bind", "decide_again", "mark", "recipe", "replay", "snapshot"},
    "operator": {
        "ping",
        "bind",
        "calibrate",
        "decide_again",
        "disable",
        "doctor",
        "enable",
        "in_force",
        "log_level",
        "mark",
        "pause",
        "recipe",
        "replay",
        "resume",
        "snapshot",
        "threshold",
        "what_if",
    },
    "fleet": {"ping", "cancel", "doctor", "install", "rollback"},
}
EVERY_VERB = set.union(*VERBS.values()) | set(COMMANDS)


@pytest.mark.parametrize("role", [*VERBS])
def test_a_role_writes_its_verbs_and_documents_and_nothing_else(plant: Plant, role: str) -> None:
    may = {TOPICS.cmd(verb) for verb in VERBS[role]}
    if role == "fleet":
        may |= DOCUMENTS | {TOPICS.bundle_data(), "plumbline/v1/fleet/office/turn"}
    every = {TOPICS.cmd(verb) for verb in EVERY_VERB} | DOCUMENTS
    every |= {TOPICS.bundle_data(), TOPICS.bundle_get(), TOPICS.reported(), TOPICS.status(), TOPICS.event()}
    every |= {TOPICS.mark(), TOPICS.head(), TOPICS.part("housing"), TOPICS.actuation()}
    every |= {"plumbline/v1/fleet/office/turn", TOPICS.verdict("top"), TOPICS.rsp("ping")}
    assert taken(plant, role, every) == may


def test_every_verb_of_the_contract_is_some_roles() -> None:
    assert set(COMMANDS) <= set.union(*VERBS.values())


def test_documents_reach_their_station_and_their_group_and_nobody_else(plant: Plant) -> None:
    """mosquitto grants every SUBSCRIBE, and filters what it delivers."""
    names = (TOPICS.station, ANOTHER.station, "operator", "mes")
    listeners = {name: plant.subscriber(name, "plumbline/v1/#") for name in names}
    for one in listeners.values():
        one.start()
    chunk = TOPICS.bundle_data()
    last = {TOPICS.station: TOPICS.cmd("ping"), ANOTHER.station: ANOTHER.cmd("ping")}
    assert taken(plant, "fleet", DOCUMENTS | {chunk, *last.values()}) == DOCUMENTS | {chunk, *last.values()}
    groups = {group_desired(kind, "press") for kind in DESIRED}
    expected = {
        TOPICS.station: DOCUMENTS | {chunk, last[TOPICS.station]},
        ANOTHER.station: groups | {last[ANOTHER.station]},
        "operator": groups,  # a pattern is for everybody with a certificate
        "mes": DOCUMENTS | set(last.values()),
    }
    for name, topics in expected.items():
        listener = listeners[name]
        eventually(
            lambda listener=listener, topics=topics: topics <= {one.topic for one in listener.received},
            f"{name} hears what is its own",
        )
    for name, listener in listeners.items():
        listener.stop()
        assert {one.topic for one in listener.received} == expected[name]


def test_the_office_and_the_operator_hear_what_stations_report_and_answer(plant: Plant) -> None:
    said = {TOPICS.status(), TOPICS.reported(), TOPICS.rsp("ping"), TOPICS.event()}
    heard = {
        "fleet": said | {TOPICS.bundle_get()},
        "operator": said | {TOPICS.mark(), TOPICS.head(), TOPICS.part("housing"), TOPICS.actuation()},
    }
    listeners = {name: plant.subscriber(name, "plumbline/v1/#") for name in heard}
    for one in listeners.values():
        one.start()
    more = {
        TOPICS.verdict("top"),
        TOPICS.metrics(),
        TOPICS.bundle_get(),
        TOPICS.mark(),
        TOPICS.head(),
        TOPICS.part("housing"),
        TOPICS.actuation(),
    }
    assert taken(plant, TOPICS.station, said | more) == said | more
    for name, listener in listeners.items():
        eventually(
            lambda listener=listener, name=name: heard[name] <= {one.topic for one in listener.received},
            f"{name} hears it",
        )
        listener.stop()
        assert {one.topic for one in listener.received} == heard[name]


def taken(plant: Plant, name: str, topics: set[str]) -> set[str]:
    """Those topics that the broker takes from whoever has the certificate of `name`."""
    writer = plant.subscriber(name, "nothing/of/this", client_id=f"{name}-writes")
    answers: dict[int, bool] = {}
    client = writer._client
    client.on_publish = lambda _c, _u, mid, reason, _p: answers.update({mid: not reason.is_failure})
    writer.start()
    asked = {client.publish(topic, b"{}", qos=1).mid: topic for topic in sorted(topics)}
    eventually(lambda: asked.keys() <= answers.keys(), "all are answered")
    writer.stop()
    return {topic for mid, topic in asked.items() if answers[mid]}


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
