"""Each change of the settings in force is on the record: by whom, from what to what, and across restarts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.clock import ManualClock
from agent.contract.commands import NotDoneError
from agent.remote.settings import in_force
from agent.remote.settings.desk import SettingsDesk
from tests.agent.remote.settled import LOCAL


class Site:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "agent.yaml"
        self.write(LOCAL)
        self.folder = folder
        self.begin()

    def begin(self) -> None:
        self.clock = ManualClock()
        self.desk = SettingsDesk(self.folder, in_force.ways(self.file, {}), self.clock)
        self.desk.in_force(self.desk.start())

    def write(self, data: Mapping[str, Any]) -> None:
        self.file.write_text(yaml.safe_dump(dict(data)))

    def turn(self) -> None:
        """As the service does: what should run is put in force."""
        self.desk.turn()
        self.desk.in_force(self.desk.target)

    def wish(self, patch: Mapping[str, Any], who: str) -> None:
        self.ask(patch, who, lambda: None)
        self.turn()

    def ask(self, patch: Mapping[str, Any], who: str, then: Callable[[], object]) -> None:
        """`then` happens before what is asked for is in force."""
        told = {"way": "page", "what": "threshold"}
        asks = threading.Thread(target=self.desk.propose, args=(patch, who), kwargs=told)
        asks.start()
        while asks.is_alive():
            self.desk.turn()
        asks.join()
        then()
        self.desk.in_force(self.desk.target)

    def last(self) -> Any:
        return self.desk.changes.last(1)[0]

    def area(self) -> int:
        return self.desk.target.settings.judge.min_area_px


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_somebody_asked_for_is_on_the_record_with_the_member_before_and_after(site: Site) -> None:
    site.wish({"judge": {"min_area_px": 30}}, "anna")
    change = site.last()
    assert (change.what, change.who, change.way) == ("threshold", "anna", "page")
    assert (change.before, change.after) == ({"judge.min_area_px": 16}, {"judge.min_area_px": 30})
    assert change.snapshot == site.desk.current()
    site.turn()
    assert [one.what for one in site.desk.changes.last(10)] == ["threshold", "settings"], "each stands once"


def test_what_was_asked_for_and_cannot_run_is_told_as_failed_with_why(site: Site) -> None:
    site.ask({"judge": {"min_area_px": 30}}, "anna", lambda: site.desk.failed("the bundle is gone"))
    site.turn()
    assert site.area() == 16
    change, first = site.desk.changes.last(10)
    assert (change.who, change.way, change.what, change.outcome) == ("anna", "page", "threshold", "failed")
    assert change.wanted == {"judge.min_area_px": 30, "why": "the bundle is gone"}
    assert (change.after, change.snapshot, first.wanted) == ({}, None, {"first": True})


def test_what_was_so_already_is_told_once_and_changes_nothing(site: Site) -> None:
    site.wish({"judge": {"min_area_px": 16}}, "anna")
    site.turn()
    change, first = site.desk.changes.last(10)
    assert (change.what, change.outcome, change.after) == ("threshold", "done", {})
    assert change.wanted == {"judge.min_area_px": 16} and first.what == "settings"


def test_what_somebody_asked_for_and_the_file_that_is_read_after_it_are_told_apart(site: Site) -> None:
    site.write({**LOCAL, "revision": 2})
    site.ask({"judge": {"min_area_px": 30}}, "anna", site.desk.reload)
    for _ in range(3):
        site.turn()
    told = [(one.way, one.outcome) for one in site.desk.changes.last(10)]
    assert told == [("file", "done"), ("page", "done"), ("file", "done")]


def test_who_goes_back_on_the_page_is_on_the_record_and_a_restart_changes_nothing(site: Site) -> None:
    first = str(site.desk.current())
    site.wish({"judge": {"min_area_px": 30}}, "anna")
    site.desk.revert(first, "bert")
    site.turn()
    assert site.area() == 16
    change = site.last()
    assert (change.who, change.way, change.what) == ("bert", "page", "revert")
    assert change.after == {"judge.min_area_px": 16}
    count = len(site.desk.changes.last(100))
    site.begin()
    assert len(site.desk.changes.last(100)) == count


def test_the_file_is_nobodys_wish_and_what_was_edited_meanwhile_is_found(site: Site) -> None:
    site.wish({"judge": {"min_area_px": 30}}, "anna")
    site.write({**LOCAL, "revision": 2})
    site.begin()
    change = site.last()
    assert (change.way, change.before, change.after) == ("file", {"revision": 1}, {"revision": 2})
    assert "file" in change.who


def test_what_is_not_kept_or_is_in_force_is_not_gone_back_to(site: Site) -> None:
    with pytest.raises(NotDoneError, match="no such settings"):
        site.desk.revert("ab" * 32, "bert")
    with pytest.raises(NotDoneError, match="in force"):
        site.desk.revert(str(site.desk.current()), "bert")


def test_the_last_of_a_flood_is_on_the_disk_a_minute_after_it_though_the_station_is_killed_then(
    site: Site,
) -> None:
    for number in range(50):
        site.desk.changes.note(who="anna", way="command", what="pause", wanted={"number": number})
    site.clock.advance(60.0)
    site.turn()
    site.begin()  # nothing was ended in order
    newest = site.last()
    assert (newest.wanted, newest.unlisted) == ({"number": 49}, 29)
