"""Somebody at the station asks the same desk: by the same verbs, known by name, and on the record."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.clock import ManualClock
from agent.contract.arguments import CommandName
from agent.contract.commands import NotDoneError
from agent.line.holds import Holds
from agent.remote.changes import ChangeFile
from agent.remote.commands.recording import CommandRecord
from agent.remote.commands.signing import Signers
from tests.agent.remote.commands.test_desk import Counter, Station
from tests.agent.remote.commands.test_signing import KEY
from tests.agent.remote.fakes import FakeRollouts, FakeSettings, said, standing
from tests.agent.uplink.asking import command, request


class Site:
    def __init__(self, folder: Path, **parts: Any) -> None:
        self.clock = ManualClock()
        self.changes = ChangeFile(folder / "changes.jsonl", self.clock)
        self.holds = Holds(["top"], path=folder / "holds.json", clock=self.clock)
        signing = {"recorded": CommandRecord(self.changes), **parts.pop("signing", {})}
        self.counter = Counter(
            Station(), self.clock, folder=folder, signing=signing, **{"holds": self.holds, **parts}
        )

    def ask(self, name: CommandName, args: Mapping[str, Any], who: str = "anna") -> dict[str, Any]:
        """As the page's thread does, while the desk's turns are taken here."""
        found: list[Any] = []

        def asks() -> None:
            try:
                found.append(dict(self.counter.desk.ask(name, args, who, within_s=20.0)))
            except NotDoneError as error:
                found.append(error)

        thread = threading.Thread(target=asks)
        thread.start()
        while thread.is_alive():
            self.counter.desk.turn(0.005)
        if isinstance(found[0], NotDoneError):
            raise found[0]
        return dict(found[0])


def test_a_pause_from_here_is_done_recorded_and_answered_with_the_persons_name(tmp_path: Path) -> None:
    site = Site(tmp_path)
    told = site.ask("pause", {"reason": "gripper", "who": "somebody else"})
    assert told["paused"]["who"] == "anna"
    assert site.holds.paused is not None
    (change,) = site.changes.last(10)
    assert (change.who, change.way, change.what, change.outcome) == ("anna", "page", "pause", "done")
    assert (change.wanted, change.before) == ({"reason": "gripper"}, {"paused": None})
    after: Any = change.after["paused"]
    assert (after["who"], after["reason"]) == ("anna", "gripper")
    assert site.counter.station.diary == [], "no message is answered, remembered or acknowledged"
    assert site.counter.desk.commanded_ns is None, "nobody commands from afar"


def test_the_same_command_through_the_broker_is_recorded_as_one(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.counter.serve_here(command("ping", request(id="c-0", args={})))
    assert site.counter.desk.commanded_ns is None
    site.counter.serve_here(
        command("pause", request(id="c-1", args={"reason": "lunch", "who": "line 3"})),
        command("resume", request(id="c-2", args={})),
    )
    newest, oldest = site.changes.last(10)
    assert (oldest.who, oldest.way, newest.who) == ("line 3", "command", "somebody who did not say")
    assert site.counter.desk.commanded_ns == site.clock.monotonic_ns()


def test_nobody_needs_a_key_who_stands_at_the_station_and_is_known(tmp_path: Path) -> None:
    site = Site(tmp_path, signing={"signers": lambda: Signers(keys=(KEY.public_key(),))})
    assert site.ask("resume", {}) == {"was_paused": False}


@pytest.mark.parametrize(
    ("name", "args", "kind"),
    [
        ("pause", {}, "bad_arguments"),
        ("recipe", {"recipe": "none"}, "impossible"),
        ("disable", {"camera": "side", "reason": "dirty"}, "bad_arguments"),
    ],
)
def test_what_is_not_done_is_told_and_leaves_no_record(
    tmp_path: Path, name: CommandName, args: Mapping[str, Any], kind: str
) -> None:
    site = Site(tmp_path)
    with pytest.raises(NotDoneError) as refusal:
        site.ask(name, args)
    assert refusal.value.kind == kind
    assert site.changes.last(10) == []


def test_one_that_goes_on_by_itself_is_answered_when_it_has_begun_and_recorded_at_its_end(
    tmp_path: Path,
) -> None:
    rollouts = FakeRollouts(
        said(202, transaction="t-1"), [standing("proving"), standing("proving"), standing("rolled_back")]
    )
    site = Site(tmp_path, rollouts=rollouts)
    assert site.ask("rollback", {"reason": "worse"})["state"] == "proving"
    for _ in range(5):
        site.counter.desk.turn()
    assert [one.outcome for one in site.changes.last(10)] == ["done", "begun"]


def test_a_threshold_is_set_only_onto_what_was_looked_at(tmp_path: Path) -> None:
    settings = FakeSettings()
    site = Site(tmp_path, settings=settings)
    site.ask("threshold", {"threshold": 0.03, "onto": settings.digest}, who="bert")
    assert settings.proposed == [({"judge": {"threshold": 0.03}}, "bert")]
    with pytest.raises(NotDoneError, match="meanwhile"):
        site.ask("threshold", {"threshold": 0.04, "onto": "ab" * 32})
    assert settings.told == [("page", "threshold")], "by which it stands in the record, once"
    assert site.changes.last(10) == []


def test_nobody_waits_for_a_desk_that_has_ended(tmp_path: Path) -> None:
    desk = Site(tmp_path).counter.desk
    desk.stop()
    with pytest.raises(NotDoneError, match="agent ends"):
        desk.ask("ping", {}, "anna", within_s=60.0)
    with pytest.raises(NotDoneError, match="no answer within"):
        Site(tmp_path).counter.desk.ask("ping", {}, "anna", within_s=0.1)
