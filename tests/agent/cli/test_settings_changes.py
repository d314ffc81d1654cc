"""Who changed what is read on the command line, also where its file is damaged."""

from __future__ import annotations

import json
from pathlib import Path

from agent.clock import SystemClock
from agent.remote.changes import NAME, ChangeFile
from tests.agent.cli.test_settings import called
from tests.agent.remote.settled import started


def test_changes_name_who_changed_what_and_its_damage_is_passed_over(tmp_path: Path) -> None:
    station = started(tmp_path)
    path = station.store.folder.parent / NAME
    record = ChangeFile(path, SystemClock())
    record.note(who="anna\n", way="page", what="threshold", before={"t": 1}, after={"t": 2})
    with path.open("ab") as file:
        file.write(b"\xff{")
    (line,) = called(station, "changes").splitlines()
    assert "anna" in line and "threshold" in line and "t 1 -> 2" in line
    told = json.loads(called(station, "changes", "--json"))
    assert [one["after"] for one in told["changes"]] == [{"t": 2}]
