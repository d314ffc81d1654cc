"""People command the station from the page: by the one desk, by their role, and only with the control."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.contract.arguments import COMMANDS
from agent.contract.commands import NotDoneError
from agent.page import acts
from agent.page.acts import ACTS, NotAllowedError, do, wanted
from agent.page.control import Control
from agent.page.sessions.roles import Person
from agent.page.sources import NOTHING, Behind, Sources
from agent.remote.changes import ChangeFile
from agent.remote.settings.store import Origin, Snapshot
from agent.status.metrics import Metrics
from tests import plain_http
from tests.agent.page.station import FakeDesk, FakeHistory, Station, running
from tests.agent.page.test_acts import act

SHA = "ab" * 32
BODIES = {
    "mark": {"result_id": "r-1", "says": "wrong"},
    "pause": {"reason": "gripper"},
    "disable": {"camera": "top", "reason": "dirty"},
    "enable": {"camera": "top"},
    "recipe": {"recipe": "other"},
    "what_if": {"threshold": 0.5},
    "threshold": {"threshold": 0.5, "onto": SHA},
    "rollback": {"reason": "worse"},
    "calibrate": {"false_reject_rate": 0.01, "frames": 100},
    "teach_begin": {"product": "plate", "source": "camera", "parts": 10, "target": 0.1},
    "teach_activate": {"onto": SHA},
}
TEACHES = {"teach_begin", "teach_go_on", "teach_cancel", "teach_sort", "teach_activate"}
OF_CONTROL = {"take_control", "give_back"}
OWN = {
    "replay",
    "explain",
    "ignore",
    "revert",
    "learn_labels",
    "use_labels",
    *TEACHES,
    *OF_CONTROL,
}  # by no verb
READS = {"replay", "explain", "what_if", "doctor", "mark", "learn_labels"}  # or say something, change nothing


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with running(tmp_path) as station:
        yield station


def sources_of(station: Station, behind: Behind = NOTHING) -> Sources:
    return Sources(
        board=station.board, metrics=Metrics(), shown=typing.cast("typing.Any", None), behind=behind
    )


def somebody(role: typing.Any, name: str = "anna") -> Person:
    return Person(name=name, role=role, way="account")


@pytest.mark.parametrize("name", ACTS)
def test_every_act_has_a_role_and_what_changes_the_station_goes_through_its_desk(
    name: str, station: Station
) -> None:
    one = ACTS[name]
    assert one.role in typing.get_args(acts.Least)
    assert one.changes == (name not in READS | OF_CONTROL)
    if one.verb is None:
        assert name in OWN
        return
    assert one.changes == COMMANDS[one.verb].changes_station
    desk = FakeDesk()
    sources = sources_of(station, Behind(desk=desk))
    do(sources, wanted(sources, name, BODIES.get(name, {}), somebody("engineer")))
    assert desk.asked == [(one.verb, BODIES.get(name, {}), "anna")]


@pytest.mark.parametrize("name", ACTS)
def test_a_role_below_that_of_the_act_changes_nothing(name: str, station: Station) -> None:
    desk, history = FakeDesk(), FakeHistory()
    sources = sources_of(station, Behind(desk=desk, history=history))
    for role in ("viewer", "operator") if ACTS[name].role == "engineer" else ("viewer",):
        with pytest.raises(NotAllowedError, match="takes the role"):
            wanted(sources, name, BODIES.get(name, {}), somebody(role))
    assert (desk.asked, history.reverted) == ([], [])


def test_nobody_can_say_that_somebody_else_asks(station: Station) -> None:
    assert act(station, "pause", {"reason": "x", "who": "the boss"}).status_code == 200
    assert station.desk.asked == [("pause", {"reason": "x"}, "this machine")]


def test_a_threshold_needs_the_settings_that_it_was_weighed_by(station: Station) -> None:
    assert act(station, "threshold", {"threshold": 0.5}).status_code == 422
    station.desk.refuses = NotDoneError("impossible", "somebody has changed the settings meanwhile")
    answer = act(station, "threshold", {"threshold": 0.5, "onto": SHA})
    assert (answer.status_code, "meanwhile" in answer.text) == (409, True)


def test_settings_go_back_by_the_name_of_those_before(station: Station) -> None:
    assert act(station, "revert", {"snapshot": SHA}).status_code == 200
    assert act(station, "revert", {"snapshot": "../../etc/passwd"}).status_code == 422
    assert station.history.reverted == [(SHA, "this machine")]


def test_while_an_mes_commands_the_page_changes_nothing_before_the_control_is_taken(station: Station) -> None:
    station.desk.commanded_ns = station.clock.monotonic_ns()
    for name in (name for name, one in ACTS.items() if one.changes and (one.verb or name in TEACHES)):
        answer = act(station, name, BODIES.get(name, {}))
        assert (answer.status_code, "take the control" in answer.text) == (409, True), name
    assert station.desk.asked == [] and act(station, "what_if", BODIES["what_if"]).status_code == 200
    told = act(station, "take_control", {"minutes": 15}).json()
    assert (told["mes"], told["held_by"]) == (True, "this machine")
    assert act(station, "pause", BODIES["pause"]).status_code == 200
    assert act(station, "give_back", {}).status_code == 200
    assert act(station, "resume", {}).status_code == 409
    assert [one.what for one in station.changes.last(10)] == ["give_back", "take_control"]
    assert act(station, "take_control", {"minutes": 10_000}).status_code == 422


def test_the_control_is_one_persons_and_runs_out(tmp_path: Path) -> None:
    clock, record = ManualClock(), ChangeFile(tmp_path / "changes.jsonl", ManualClock())
    last: list[int] = []
    control = Control(
        commanded_ns=lambda: last[-1] if last else None, gives_way_s=300.0, record=record, clock=clock
    )
    control.require("anna")
    last.append(clock.monotonic_ns())
    with pytest.raises(NotDoneError, match="MES commands"):
        control.require("anna")
    control.take("anna", 10)
    control.require("anna")
    for who in (control.require, control.give_back):
        with pytest.raises(NotDoneError):
            who("bert")
    with pytest.raises(NotDoneError, match="anna has the control"):
        control.take("bert", 10)
    assert control.told() == {"mes": True, "held_by": "anna", "left_s": 600}
    clock.advance(601.0)
    assert control.told() == {"mes": False, "held_by": None, "left_s": None}
    control.require("bert")
    assert [one.what for one in record.last(10)] == ["control_ran_out", "take_control"]


def test_a_page_that_gives_no_way_is_never_read_only() -> None:
    clock = ManualClock()
    Control(commanded_ns=clock.monotonic_ns, gives_way_s=0.0, record=None, clock=clock).require("anna")


def view(station: Station, name: str) -> typing.Any:
    answer = plain_http.get(f"{station.page.url}api/views/{name}", timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_settings_are_shown_with_what_differs_from_those_before_and_without_logins(station: Station) -> None:
    def made(threshold: float, url: str) -> Snapshot:
        return Snapshot(
            data={"judge": {"threshold": threshold}, "url": url},
            local={},
            source="remote",
            since="2026-01-01T00:00:00.000Z",
            origin=Origin(issuer="plant", epoch=1, counter=1, address="a", envelope_sha256=SHA),
        )

    station.history.kept = [(SHA, made(1.0, "mqtt://a:geheim@x")), ("cd" * 32, made(2.0, "mqtt://a:hush@x"))]
    told = view(station, "model")
    newest, oldest = told["history"]
    assert (newest["is_current"], oldest["is_current"], oldest["differs"]) == (True, False, [])
    assert newest["differs"][0] == {"member": "judge.threshold", "was": 1.0, "now": 2.0}
    assert (told["attempted"]["state"], newest["issuer"]) == ("rejected", "plant")
    assert not {"geheim", "hush", "secret"} & set(
        json.dumps(told).replace(":", " ").replace("@", " ").split()
    )
    assert told["in_force"]["recipes"] == ["default", "other"]


def test_changes_commands_and_control_are_shown(station: Station) -> None:
    station.changes.note(who="<b>anna</b>", way="page", what="pause")
    (change,) = view(station, "changes")["changes"]
    assert (change["who"], change["what"]) == ("<b>anna</b>", "pause")
    assert view(station, "uplink")["commands"] == {"performed": 7, "refused": {"expired": 2}}
    assert view(station, "now")["control"] == {"mes": False, "held_by": None, "left_s": None}
    assert view(station, "doctor") == {"can": True}
