"""Root goes on as the agent's user, unless that one could not go on at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.doctor.visitor import become_agent, take_credentials
from agent.settings.credentials import VARIABLE
from tests.agent.doctor.sites import site

NOBODY = 65534
ROOT = Path(__file__).resolve().parents[3]
SYSTEM = (
    Path("/usr/bin") / f"python{sys.version_info.major}.{sys.version_info.minor}"
)  # any user reads its library

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
SCRIPT = """
import json, os, sys
sys.path[:] = json.loads(sys.argv[1]) + sys.path
from pathlib import Path
from agent.doctor.visitor import become_agent, take_credentials
from agent.settings import settings
name = become_agent(settings.load(Path(sys.argv[2])))
print(json.dumps([name, os.getresuid(), os.getresgid(), os.access("/etc/shadow", os.R_OK)]))
"""


@needs_root
@pytest.mark.skipif(not SYSTEM.is_file(), reason="the system's Python is another version than this one")
def test_root_becomes_the_owner_of_the_outboxs_folder_for_good(tmp_path: Path) -> None:
    one = site(tmp_path, outbox={"path": "state/outbox.sqlite3"})
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", NOBODY, NOBODY)
    found = [place for place in sys.path if place.endswith("site-packages")]
    done = subprocess.run(
        [SYSTEM, "-c", SCRIPT, json.dumps([str(ROOT), *found]), str(one.file)], capture_output=True, text=True
    )
    if "No module named" in done.stderr:
        pytest.skip("this environment's packages are not for the system's Python")
    name, uids, gids, reads_shadow = json.loads(done.stdout)
    assert (name, uids, gids[0], reads_shadow) == ("nobody", [NOBODY] * 3, NOBODY, False)


def test_what_systemd_hands_the_running_service_is_used_where_it_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "")
    for unit in (None, "plumbline@none.service"):
        take_credentials(unit, tmp_path)
        assert os.environ[VARIABLE] == ""
    (tmp_path / "plumbline.service").mkdir()
    take_credentials("plumbline.service", tmp_path)
    assert os.environ[VARIABLE] == str(tmp_path / "plumbline.service")


def test_nobody_becomes_anybody_where_the_folder_is_ones_own(tmp_path: Path) -> None:
    before = os.getresuid()
    assert become_agent(site(tmp_path).settings) is None
    assert os.getresuid() == before
