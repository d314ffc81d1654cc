"""`plumbline outbox` looks at what waits, beside a running agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.outbox import file as outbox_file
from agent.outbox import waiting
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from tests.agent.cli.calling import Plumbline, config, named_in_help
from tests.agent.outbox import version_1
from tests.agent.outbox.rows import crop, verdict
from tests.brokers import DEADLINE_S


def test_outbox_status_of_a_missing_file_says_so(plumbline: Plumbline, tmp_path: Path) -> None:
    ended = plumbline("outbox", "status", "-c", config(tmp_path))
    assert ended.code == 2 and "outbox.sqlite3" in ended.complaint()


def test_outbox_status_works_beside_a_running_agent(plumbline: Plumbline, tmp_path: Path) -> None:
    outbox = Outbox(Database(tmp_path / "outbox.sqlite3", clock=SystemClock()))
    outbox.open()
    outbox.append([verdict(1), crop(1, 2000)]).result(DEADLINE_S)
    ended = plumbline("outbox", "status", "-c", config(tmp_path))
    outbox.close()
    assert ended.code == 0 and "2 rows, " in ended.out


@pytest.fixture
def delivered(tmp_path: Path) -> Iterator[Outbox]:
    """Verdicts 1 to 5 delivered, 6 waiting."""
    outbox = Outbox(Database(tmp_path / "outbox.sqlite3", clock=SystemClock()))
    outbox.open()
    outbox.append([verdict(sequence) for sequence in range(1, 6)]).result(DEADLINE_S)
    outbox.delivered([one.seq for one in outbox.lease(10)])
    outbox.append([verdict(6)]).result(DEADLINE_S)
    yield outbox
    outbox.close()


def test_outbox_status_says_what_can_be_replayed_and_what_was_refused(
    plumbline: Plumbline, tmp_path: Path, delivered: Outbox
) -> None:
    with closing(outbox_file.connect(delivered.path, synchronous="NORMAL")) as database:
        waiting.note_refusal(database, "mqtt", 6, "the broker said Not authorized (0x87)", 0)
    ended = plumbline("outbox", "status", "-c", config(tmp_path))
    assert "5 delivered verdicts kept, 1 to 5" in ended.out
    assert "refused by mqtt, 1 times: row 6, the broker said Not authorized (0x87)" in ended.out


def test_outbox_export_prints_delivered_verdicts_as_json_lines(
    plumbline: Plumbline, tmp_path: Path, delivered: Outbox
) -> None:
    ended = plumbline("outbox", "export", "-c", config(tmp_path), "--from", 2, "--to", 9)
    assert [json.loads(line)["sequence"] for line in ended.out.splitlines()] == [2, 3, 4, 5]


def test_outbox_replay_queues_delivered_verdicts_and_says_when_there_are_none(
    plumbline: Plumbline, tmp_path: Path, delivered: Outbox
) -> None:
    ended = plumbline("outbox", "replay", "-c", config(tmp_path), "--from", 4, "--to", 9)
    assert (ended.code, "2 verdicts will be said again" in ended.out) == (0, True)
    again = [one.row.id for one in delivered.lease(10, replays=10) if one.replayed]
    assert again == ["verdict-4", "verdict-5"]
    assert plumbline("outbox", "replay", "-c", config(tmp_path), "--from", 7, "--to", 9).code == 1


def test_the_outbox_commands_do_not_touch_a_file_of_another_schema(
    plumbline: Plumbline, tmp_path: Path
) -> None:
    version_1.write(tmp_path / "outbox.sqlite3", delivered=1, waiting=1)
    before = (tmp_path / "outbox.sqlite3").read_bytes()
    for command in (("export",), ("replay", "--from", 1, "--to", 2)):
        ended = plumbline("outbox", command[0], "-c", config(tmp_path), *command[1:])
        assert ended.code == 2 and "start the agent once" in ended.complaint()
    assert (tmp_path / "outbox.sqlite3").read_bytes() == before


def test_outbox_status_as_json(plumbline: Plumbline, tmp_path: Path, delivered: Outbox) -> None:
    told = json.loads(plumbline("outbox", "status", "-c", config(tmp_path), "--json").out)
    assert (told["rows"], told["kinds"]["verdict"], told["refused"]) == (1, 1, [])
    assert told["delivered"] == {"verdicts": 5, "first": 1, "last": 5}
    assert named_in_help(plumbline, "outbox", "status", fields=told)
    assert [(one["name"], one["rows"]) for one in told["readers"]] == [("mqtt", 1)]
