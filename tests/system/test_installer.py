"""From a fresh machine to a station that serves, by one command."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from tests.system.box import Box
from tests.system.figures import Figures
from tests.system.ledger import Ledger
from tests.system.packages import HERE
from tests.system.station import STATE, UNIT, sample_pictures

STICK = "/srv/stick"
MINUTES = 3
ANSWERS = {"site": "test", "area": "cells", "line": "line1", "station": "box1", "broker": "127.0.0.1"}


def test_one_command_installs_and_again_changes_nothing(
    box: Box, package: Path, tmp_path: Path, figures: Figures
) -> None:
    ledger = Ledger(tmp_path, ANSWERS["station"])
    ledger.start(box)
    box.path(STICK).mkdir()
    shutil.copyfile(package, box.path(f"{STICK}/{package.name}"))
    shutil.copyfile(HERE / "deploy/install.sh", box.path(f"{STICK}/install.sh"))
    flags = [word for name, value in ANSWERS.items() for word in (f"--{name}", value)]
    command = ["bash", f"{STICK}/install.sh", "--yes", *flags]
    started = time.monotonic()
    said = box.run(*command, timeout_s=300, check=False)
    taken_s = time.monotonic() - started
    figures.note("fresh machine to a running station", taken_s)
    assert box.systemctl("is-active", UNIT) == "active", said.stdout + said.stderr
    assert taken_s < MINUTES * 60
    assert "http://127.0.0.1:8080" in said.stdout
    pictures = sample_pictures()
    for picture in pictures:
        shutil.copyfile(picture, box.path(f"{STATE}/pictures/{picture.name}"))
    ledger.wait_for(len(pictures))
    ledger.check()

    pid = box.show(UNIT, "MainPID")
    again = box.run(*command, timeout_s=300, check=False)
    assert again.returncode == said.returncode == 0, said.stdout + said.stderr
    assert box.show(UNIT, "MainPID") == pid
    ledger.stop()
