"""`plumbline run` ends as its contract says, and tells what still waits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from tests.agent.cli.calling import Plumbline, config, process

SAYS_AT_THE_END = """
import atexit, gc
from agent.cli.main import main
atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 50_000))
main()
"""


def test_run_with_a_missing_bundle_says_which_setting(tmp_path: Path) -> None:
    ended = process("-m", "agent", "run", "-c", config(tmp_path, bundle="none"))
    assert ended.code == 2 and "check the setting `bundle`" in ended.complaint()


def test_what_was_imported_is_never_looked_through_for_garbage_and_the_rest_is(tmp_path: Path) -> None:
    ended = process("-c", SAYS_AT_THE_END, "run", "-c", config(tmp_path, bundle="none"))
    assert (ended.code, ended.out) == (2, "True True\n")


def test_run_with_an_empty_folder_of_frames_says_so_and_waits_for_frames(
    bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "frames").mkdir()
    command = ["-m", "agent", "run", "-c", str(config(tmp_path, bundle=str(bundle)))]
    with subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        events = (json.loads(line) for line in running.stderr)
        said = next(event for event in events if "holds no image" in event.get("detail", ""))
        assert said["level"] == "warning" and str(tmp_path / "frames") in said["detail"]
        running.terminate()
        for event in events:
            assert event["level"] in ("info", "warning")
    assert running.returncode == 0


def test_run_judges_a_folder_to_its_end(plumbline: Plumbline, bundle: Path, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, level in enumerate((20, 20, 240)):
        cv2.imwrite(str(frames / f"{number}.png"), np.full((40, 40), level, np.uint8))
    path = config(tmp_path, bundle=str(bundle))
    ended = process("-m", "agent", "run", "-c", path)
    assert ended.code == 0, ended.err
    assert json.loads(ended.err.splitlines()[-1])["last_sequence"] == 3
    status = plumbline("outbox", "status", "-c", path)
    assert status.code == 0 and "  verdict  3" in status.out and "  crop     1" in status.out
    # Three verdicts, a crop, and the heads with which the station signs that its chain begins and ends.
    assert "records wait, 6 for mqtt; they are delivered at the next start" in ended.out
