"""`plumbline-lab fleet` with a real broker and simulated stations: what a person types, and its effect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from agent.bundle.bundle import MANIFEST, SIGNATURE, open_bundle
from agent.clock import ManualClock, SystemClock
from agent.contract.desired import read_bundle, read_settings
from agent.errors import PlumblineError
from agent.settings.settings import SettingsError
from agent.trust.envelope import parse
from agent.trust.trust_set import TRUST_TYPE
from models.cli.main import app
from models.signing import sign
from tests.agent.engines.small_bundle import write_small
from tests.agent.trust.pem import private_pem
from tests.brokers import HOST, Mosquitto
from tests.fleet.crowd import Crowd
from tests.fleet.sources import Ware
from tests.fleet.station import AS_INSTALLED, Cues, Station, merged, settings_digest
from tests.fleet.world import KEY, OLD, TRUST, sources, topics

LIVE = {"line": {"mode": "live"}}
COUNT = 6


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    one = Mosquitto(tmp_path / "mosquitto")
    one.start()
    yield one
    one.stop()


@pytest.fixture
def crowd(broker: Mosquitto) -> Iterator[Crowd]:
    from_where, clock = sources(), ManualClock(SystemClock().utc_now(), synced=True)
    stations = [
        Station(topics(n), trust=TRUST, sources=from_where, bundle=OLD, groups=("press",), clock=clock)
        for n in range(COUNT)
    ]
    one = Crowd(broker.port, stations)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def room(tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key.pem").write_bytes(private_pem(KEY))
    (tmp_path / "trust.json").write_bytes(sign(TRUST.payload(), TRUST_TYPE, KEY))
    (tmp_path / "live.yaml").write_text("line: {mode: live}\n")
    write_inventory(tmp_path, broker.port)
    return tmp_path


def write_inventory(folder: Path, port: int, **more: object) -> None:
    stations = [
        {"address": topics(n).prefix.removeprefix("plumbline/v1/"), "groups": ["press"]} for n in range(COUNT)
    ]
    content = {
        "issuer": "office",
        "trust": "trust.json",
        "mqtt": {"host": HOST, "port": port},
        "rollout": {"answer_within_s": 20.0, "busy_s": 0.2},
        "stations": stations,
        **more,
    }
    (folder / "fleet.yaml").write_text(yaml.safe_dump(content))


def fleet(words: str) -> Result:
    return CliRunner().invoke(app, ["fleet", *words.split()])


def refused(words: str) -> str:
    error = fleet(words).exception
    assert isinstance(error, PlumblineError), repr(error)
    return str(error)


def test_settings_go_out_are_seen_and_come_back(room: Path, crowd: Crowd) -> None:
    done = fleet("settings live.yaml -i fleet.yaml --to group:press --key key.pem")
    assert done.exit_code == 0, (done.output, done.exception)
    assert f"settings office 1: finished, wave 4 of 4: {COUNT} applied" in done.output
    expected = merged(AS_INSTALLED, LIVE)
    assert all(one.settings == expected for one in crowd.stations)
    shown = json.loads(fleet("status -i fleet.yaml --json").output)
    assert [one["settings"]["counter"] for one in shown["stations"]] == [1] * COUNT
    assert {one["settings_attempted"]["state"] for one in shown["stations"]} == {"applied"}
    assert {one["effective_sha256"] for one in shown["stations"]} == {settings_digest(expected)}
    assert shown["rollout"]["state"] == "finished"
    done = fleet("back -i fleet.yaml --key key.pem")
    assert done.exit_code == 0, (done.output, done.exception)
    assert all(one.settings == AS_INSTALLED for one in crowd.stations)


def test_a_bad_one_ends_with_1_and_is_resumed_only_when_that_is_said(room: Path, crowd: Crowd) -> None:
    bad = settings_digest(merged(AS_INSTALLED, LIVE))
    crowd.stations[0].cues = Cues(fails={bad: "probation"})
    done = fleet("settings live.yaml -i fleet.yaml --to all --key key.pem")
    assert done.exit_code == 1
    assert "1 rolled_back" in done.output and f"{COUNT - 1} not told" in done.output
    assert "was stopped: 1 of the first wave failed" in refused("resume -i fleet.yaml --key key.pem")
    assert "is stopped" not in fleet("stop -i fleet.yaml --key key.pem").output
    done = fleet("resume -i fleet.yaml --key key.pem --stopped --json")
    assert done.exit_code == 0, (done.output, done.exception)
    found = json.loads(done.stdout)
    assert [one["result"] for one in found["stations"]] == ["rolled_back"] + ["applied"] * (COUNT - 1)


def test_a_signed_bundle_goes_out_and_an_unsigned_one_does_not(room: Path, crowd: Crowd) -> None:
    write_small(room / "plain")
    assert (
        CliRunner().invoke(app, ["keys", "sign", "plain", "--key", "key.pem", "--out", "signed"]).exit_code
        == 0
    )
    said = refused("bundle plain -i fleet.yaml --to all --key key.pem --source https://files.example/b")
    assert "not signed" in said or "no signature" in said
    assert "Give --source, or --serve" in refused("bundle signed -i fleet.yaml --to all --key key.pem")
    ware = Ware(id="signed", data=open_bundle(Path("signed")).files[MANIFEST])
    crowd.stations[0]._sources.add(ware)
    done = fleet("bundle signed -i fleet.yaml --to all --key key.pem --source https://files.example/b")
    assert done.exit_code == 0, (done.output, done.exception)
    assert all(one.bundle == ware for one in crowd.stations)
    assert fleet("back -i fleet.yaml --key key.pem").exit_code == 0
    assert all(one.bundle == OLD for one in crowd.stations), "which nobody had told them from here"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("settings live.yaml -i fleet.yaml --to nobody --key key.pem", "--to nobody: not in the inventory"),
        ("settings live.yaml -i fleet.yaml --to group:none --key key.pem", "there are press"),
        ("settings live.yaml -i fleet.yaml --to cell-1 --at-once --key key.pem", "give group:NAME"),
        ("settings absent -i fleet.yaml --to all --key key.pem", "absent: not read"),
        ("settings list.yaml -i fleet.yaml --to all --key key.pem", "settings are a mapping of keys"),
        ("settings huge.yaml -i fleet.yaml --to all --key key.pem", "bytes when signed, and stations take"),
        ("settings live.yaml -i fleet.yaml --to all --key other.pem", "trust.json would not take it"),
        ("resume -i fleet.yaml --key key.pem", "no rollout was begun from here"),
        ("import nowhere -i fleet.yaml", "nowhere: no such folder"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_published(
    room: Path, crowd: Crowd, words: str, said: str
) -> None:
    (room / "list.yaml").write_text("- 1\n")
    (room / "huge.yaml").write_text("".join(f"k{n}: {'x' * 200}\n" for n in range(1000)))
    CliRunner().invoke(app, ["keys", "new", "other.pem"])
    assert said in refused(words)
    assert all(len(one.settings_in_force) == 1 for one in crowd.stations)


def test_an_inventory_is_held_to_the_letter(room: Path) -> None:
    (room / "bad.yaml").write_text(
        "issuer: The Office\ntrust: trust.json\nwaves: 3\nrollout: {waves: [none]}\n"
        "stations:\n  - {address: cell-1}\n"
    )
    with pytest.raises(SettingsError) as caught:
        from models.fleet.inventory import load

        load(room / "bad.yaml")
    told = "\n".join(caught.value.problems)
    for words in ("bad.yaml:1: issuer", "bad.yaml:3: waves", "bad.yaml:4: rollout", "bad.yaml:6: stations.0"):
        assert words in told, told


def test_a_stick_has_the_same_documents_and_brings_reports_back(room: Path, crowd: Crowd) -> None:
    write_small(room / "plain")
    CliRunner().invoke(app, ["keys", "sign", "plain", "--key", "key.pem", "--out", "signed"])
    words = "export stick -i fleet.yaml --to cell-0 --to cell-1 --key key.pem"
    done = fleet(f"{words} --settings live.yaml --bundle signed")
    assert done.exit_code == 0, (done.output, done.exception)
    found = open_bundle(Path("signed"))
    for number in (0, 1):
        place = room / "stick" / topics(number).prefix
        settings = read_settings(parse((place / "config/desired.json").read_bytes()).payload)
        assert (settings.settings, settings.onto, settings.counter) == (LIVE, "file", 1)
        bundle = read_bundle(parse((place / "bundle/desired.json").read_bytes()).payload)
        (source,) = bundle.sources
        assert source.kind == "folder" and bundle.target.sha256 == found.sha256
        assert open_bundle(room / "stick" / source.path).files[SIGNATURE] == found.files[SIGNATURE]
    assert not (room / "stick" / topics(2).prefix).exists()
    station = crowd.stations[0]
    away = Station(station.topics, trust=TRUST, sources=sources(), bundle=OLD)
    away.start()
    path = room / "stick" / station.topics.prefix / "config" / "desired.json"
    away.receive(station.topics.desired("config"), path.read_bytes())
    while away.tick():
        pass
    (path.parent / "reported.json").write_bytes(away.out[-1][1])
    (room / "stick" / topics(1).prefix / "config" / "reported.json").write_bytes(b"{}")
    done = fleet("import stick -i fleet.yaml --json")
    assert done.exit_code == 1
    brought = json.loads(done.stdout)
    assert brought["stations"][0]["settings_attempted"]["state"] == "applied"
    assert "no report of" in brought["unread"][0]


def test_a_broker_that_is_not_there_is_named(room: Path) -> None:
    write_inventory(room, 1)
    assert "connection refused; check mqtt.port" in refused("status -i fleet.yaml --json")
