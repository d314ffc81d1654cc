"""`plumbline command` asks a station over a real broker, and says what the station would say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from agent import logs
from agent.clock import ManualClock
from agent.contract.arguments import COMMANDS
from agent.remote.commands.station import Found
from agent.settings.settings import Logs, Trust
from models.cli.main import app as workshop
from tests.agent.cli.calling import Plumbline, config, named_in_help
from tests.agent.outbox.rows import TOPICS, verdict
from tests.agent.remote.commands.test_desk import Counter, Station
from tests.agent.remote.fakes import FakeDoctor
from tests.agent.remote.stations import Asked, asked
from tests.agent.uplink.asking import command as inbound
from tests.agent.uplink.asking import request
from tests.agent.uplink.test_uplink import dated
from tests.brokers import DEADLINE_S, HOST, Mosquitto, eventually


@pytest.fixture(autouse=True)
def _station_is_silent() -> None:
    """It runs in this process, whose output is looked at."""
    logs.configure(Logs(level="error"))


@pytest.fixture
def station(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Asked]:
    """It has delivered ten verdicts and hears commands."""
    one = asked(tmp_path / "outbox.sqlite3", mosquitto.port)
    one.start()
    one.uplink.outbox.append([dated(verdict(number)) for number in range(1, 11)]).result(DEADLINE_S)
    eventually(lambda: not one.uplink.outbox.depth().rows, "they are delivered")
    one.hears()
    yield one
    one.stop()


def at(folder: Path, port: int, **mqtt: object) -> Path:
    return config(folder, mqtt={"host": HOST, "port": port, **mqtt})


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
def test_a_station_does_what_it_is_asked_and_its_answer_is_printed(
    plumbline: Plumbline, tmp_path: Path, station: Asked, mosquitto: Mosquitto, protocol: str
) -> None:
    file = at(tmp_path, mosquitto.port, protocol=protocol)
    ended = plumbline("command", "replay", "from_sequence=9", "to_sequence=12", "-c", file)
    assert (ended.code, ended.err) == (0, "")
    first, second = ended.out.splitlines()
    assert first.startswith("200 done") and json.loads(second)["gone"] == [[11, 12]]
    assert station.remote.desk.performed == 1
    words = ("command", "bind", "--args", '{"part_id": "SN-1"}', "-c", file, "--json")
    answer = json.loads(plumbline(*words).out)
    assert (answer["code"], answer["name"]) == (200, "bind")
    assert named_in_help(plumbline, "command", fields=answer)
    assert station.uplink.link.state.connects == 1, "it does not push the station off the broker"


def test_a_part_number_of_digits_is_text_and_null_is_none(
    plumbline: Plumbline, tmp_path: Path, station: Asked, mosquitto: Mosquitto
) -> None:
    file = at(tmp_path, mosquitto.port)
    wanted = ("part_id=4711", "applies_to=window", "timeout_s=60", "camera=null")
    assert plumbline("command", "bind", *wanted, "-c", file).code == 0
    (camera,) = (one.name for one in station.settings.cameras)
    bound = station.remote.bindings.of(camera, station.uplink.clock.monotonic_ns())
    assert bound.part_id == "4711"


def test_what_the_station_refuses_ends_with_1_and_its_words(
    plumbline: Plumbline, tmp_path: Path, station: Asked, mosquitto: Mosquitto
) -> None:
    file = at(tmp_path, mosquitto.port)
    ended = plumbline("command", "bind", "part_id=SN-1", "camera=elsewhere", "-c", file)
    assert ended.code == 1 and ended.out.startswith("422 camera: no camera 'elsewhere'")
    told = plumbline("command", "bind", "part_id=SN-1", "camera=elsewhere", "-c", file, "--json")
    assert told.code == 1 and json.loads(told.out)["data"] == {"kind": "bad_arguments"}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_station_that_is_not_there_is_told_with_what_to_look_at(
    plumbline: Plumbline, tmp_path: Path, mosquitto: Mosquitto, protocol: str
) -> None:
    file = at(tmp_path, mosquitto.port, protocol=protocol)
    ended = plumbline("command", "ping", "-c", file, "--timeout", "1")
    why = "nobody hears" if protocol == "5" else "did not answer within 1 s"
    assert ended.code == 2 and why in ended.complaint() and TOPICS.cmd("ping") in ended.complaint()


def test_a_broker_that_is_not_there_is_told(plumbline: Plumbline, tmp_path: Path) -> None:
    ended = plumbline("command", "ping", "-c", config(tmp_path))
    assert ended.code == 2 and "connection refused; check mqtt.port" in ended.complaint()


def test_who_may_not_command_is_told_to_give_other_credentials(plumbline: Plumbline, tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"topic write {TOPICS.prefix}/rsp/+\ntopic read {TOPICS.prefix}/rsp/+\n")
    rules.chmod(0o700)
    broker = Mosquitto(tmp_path / "mosquitto", f"acl_file {rules}")
    broker.start()
    try:
        ended = plumbline("command", "ping", "-c", at(tmp_path, broker.port, protocol="5"))
    finally:
        broker.stop()
    assert ended.code == 2 and f"we may not write {TOPICS.cmd('ping')} (Not authorized)" in ended.complaint()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "give the NAME"),
        (("ping",), "give --config"),
        (("ping", "loud", "-c", "CONFIG"), "'loud': give KEY=VALUE"),
        (("ping", "=1", "-c", "CONFIG"), "give KEY=VALUE"),
        (("bind", "part_id=1", "part_id=2", "-c", "CONFIG"), "part_id: it is given twice"),
        (("bind", "part_id=1", "--args", "{}", "-c", "CONFIG"), "not both"),
        (("bind", "--args", "{", "-c", "CONFIG"), "not strict JSON"),
    ],
)
def test_a_line_that_makes_no_sense_is_usage(
    plumbline: Plumbline, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    file = config(tmp_path)
    ended = plumbline("command", *(file if word == "CONFIG" else word for word in words))
    assert ended.code == 2 and why in ended.err


def test_the_list_has_every_command_with_its_arguments(plumbline: Plumbline) -> None:
    told = plumbline("command", "--list").out
    listed = json.loads(plumbline("command", "--list", "--json").out)
    assert [one["name"] for one in listed] == [*COMMANDS]
    for name, model in COMMANDS.items():
        assert f"{name}: {(model.__doc__ or '').split()[0]}" in told
        assert all(f"  {field}" in told for field in model.model_fields)
    assert named_in_help(plumbline, "command", fields=listed[0])


keys = st.sampled_from(["part_id", "from_sequence", "to_sequence", "result_ids", "timeout_s", "x"])
values = st.sampled_from([None, True, 0, -1, 10**6, 1e9, "", "a b", " a", [], {}, "x" * 200])


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([*COMMANDS, "reboot", "ping/x", "", " ", "Ping", "\u2028"]),
    st.dictionaries(keys, values, max_size=4),
)
def test_what_is_wrong_is_said_in_the_words_of_the_station(
    plumbline: Plumbline, tmp_path: Path, name: str, args: dict[str, Any]
) -> None:
    counter = Counter(Station(), ManualClock(), folder=tmp_path)
    counter.serve_here(inbound(topic=f"{TOPICS.prefix}/cmd/{name}", payload=request(args=args)))
    answer = counter.station.answers()[-1]
    kind = dict(answer["data"]).get("kind")  # type: ignore[call-overload]
    if answer["code"] == 200 or kind in ("impossible", "not_found"):  # as this station is set up
        return
    words = ("command", "--args", json.dumps(args), "-c", config(tmp_path), "--json", "--", name)
    ended = plumbline(*words)
    logs.configure(Logs(level="error"))
    assert (ended.code, json.loads(ended.out)["error"]) == (2, answer["message"])


def test_what_is_under_way_is_printed_before_the_last_answer(
    plumbline: Plumbline, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    found = [Found(family="disk", check="room", state="note", words="little room", remedy="make some")]
    one = asked(tmp_path / "outbox.sqlite3", mosquitto.port, parts={"doctor": FakeDoctor(found)})
    one.start()
    try:
        one.hears()
        ended = plumbline("command", "doctor", "-c", at(tmp_path, mosquitto.port))
        first, *_, last, data = ended.out.splitlines()
        assert ended.code == 0 and first.startswith("202 accepted") and last.startswith("200 done")
        assert json.loads(data)["findings"][0]["words"] == "little room"
        answer = json.loads(plumbline("command", "doctor", "-c", at(tmp_path, mosquitto.port), "--json").out)
        assert answer["code"] == 200, "of which the last one is printed alone"
    finally:
        one.stop()


def test_a_command_is_written_signed_and_sent(
    plumbline: Plumbline, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    key, trust = tmp_path / "office.pem", tmp_path / "trust.json"
    lab = CliRunner()
    assert lab.invoke(workshop, ["keys", "new", str(key), "--trust", str(trust)]).exit_code == 0
    one = asked(tmp_path / "outbox.sqlite3", mosquitto.port, trust=Trust(file=trust))
    one.start()
    try:
        one.hears()
        file, plain, signed = at(tmp_path, mosquitto.port), tmp_path / "plain", tmp_path / "signed"
        unsigned = plumbline("command", "pause", "reason=gripper", "-c", file)
        assert unsigned.code == 1 and unsigned.out.startswith("401")
        words = ("--timeout", "600", "--issuer", "office", "--to-sign", plain)
        written = plumbline("command", "pause", "reason=gripper", "-c", file, *words)
        assert (written.code, "plumbline-lab keys sign" in written.out) == (0, True)
        too_early = plumbline("command", "--signed", plain, "-c", file)
        assert too_early.code == 1 and too_early.out.startswith("401"), "nobody has signed it"
        made = lab.invoke(workshop, ["keys", "sign", str(plain), "--key", str(key), "--out", str(signed)])
        assert made.exit_code == 0, made.output
        answer = json.loads(plumbline("command", "--signed", signed, "-c", file, "--json").out)
        assert (answer["code"], answer["data"]["paused"]["who"]) == (200, "office")
        again = plumbline("command", "--signed", signed, "-c", file)
        assert again.code == 1 and again.out.startswith("409"), "it runs once"
    finally:
        one.stop()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ping", "--issuer", "a"), "go together"),
        (("ping", "--to-sign", "x"), "go together"),
        (("ping", "--signed", "x"), "leave NAME"),
        (("--signed", "nowhere"), "check --signed"),
        (("--signed", "agent.yaml"), "no signed command"),
        (("pause", "--issuer", "a", "--to-sign", "x"), "reason"),
        (("ping", "--issuer", "a", "--to-sign", "gone/x"), "check --to-sign"),
        (("ping", "--issuer", "a", "--to-sign", "mine"), "mine: is there already; give another file"),
    ],
)
def test_signing_with_something_missing_says_what(
    plumbline: Plumbline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").touch()
    file = at(tmp_path, 1)
    (tmp_path / "agent.yaml").write_bytes(file.read_bytes())
    ended = plumbline("command", *words, "-c", file)
    assert ended.code == 2 and said in " ".join(ended.err.split()), ended.err
