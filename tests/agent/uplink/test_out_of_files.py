"""Others have used up the files of the process: what is recorded, watched and closed needs none."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.outbox import file as outbox_file
from agent.outbox.database import Database
from agent.outbox.file import OutboxError
from agent.outbox.outbox import Outbox
from tests.agent.outbox.rows import verdict
from tests.agent.uplink.stations import status
from tests.agent.uplink.test_uplink import built
from tests.brokers import DEADLINE_S, Mosquitto, eventually

ROOT = Path(__file__).parents[3]


def work(path: Path, port: int) -> None:
    """In a process of its own: all that an uplink does, with a limit below what it holds already."""
    one = built(path, port, gateways=({"kind": "folder", "name": "archive", "path": str(path.parent / "a")},))
    one.start()
    one.outbox.append([verdict(1)]).result(DEADLINE_S)
    eventually(lambda: one.outbox.depth().rows == 0, "the broker has it")
    one.watch()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
    for number in range(2, 400):
        one.outbox.append([verdict(number)])
    one.outbox.append([verdict(400)]).result(DEADLINE_S)
    # Beside them the gateway tells its trouble.
    eventually(lambda: not one.outbox.depth().kinds.get("verdict"), "the broker has all")
    assert one.keeper.replay(1, 400).queued == 400
    one.keeper.note(one.events.row("spool_recovered", "info", "there is room"))
    one.keeper.remember("a", one.clock.utc_now())
    one.watch()
    assert one.outbox.depth().readers[1].rows > 0
    one.stop(status("stopped"))
    assert one.outbox.last_sequence() == 400


def test_an_uplink_records_watches_and_ends_without_a_file_to_spare(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.agent.uplink.test_out_of_files import work;"
        "work(Path(sys.argv[1]), int(sys.argv[2])); print('done')"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "outbox.sqlite3"), str(mosquitto.port)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines()[-1:] == ["done"], done.stdout + done.stderr


def test_who_cannot_open_it_for_want_of_files_says_so(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    outbox = Outbox(Database(path, clock=ManualClock()))
    outbox.open()
    outbox.close()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, most[1]))
    try:
        with pytest.raises(OutboxError, match=r"too many open files.*LimitNOFILE"):
            outbox_file.read_depth(path, clock=ManualClock())
        with pytest.raises(OutboxError, match=r"too many open files.*LimitNOFILE"):
            Outbox(Database(path, clock=ManualClock())).open()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
