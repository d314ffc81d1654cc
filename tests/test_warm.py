"""A forked process is what one that imports for itself would be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm

pytestmark = pytest.mark.slow
TELLS = """
import json, os, sys
print(json.dumps({"argv": sys.argv, "folder": os.getcwd(), "said": os.environ.get("SAID"), "main": __name__,
    "torch": "torch" in sys.modules, "open": sorted(int(one) for one in os.listdir("/proc/self/fd"))}))
print("heard", file=sys.stderr)
sys.exit(7)
"""


def begun(folder: Path, *words: str, said: str = "yes") -> warm.Process:
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        return warm.start(words, output=out, errors=err, environment={**os.environ, "SAID": said})


def test_it_has_its_own_words_folder_environment_and_output_and_nothing_else_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    others = [begun(tmp_path, "-c", "import time; time.sleep(600)") for _ in range(2)]
    assert begun(tmp_path, "-c", TELLS, "run", "-c", "é").wait(60) == 7
    found = json.loads((tmp_path / "out").read_text())
    listed = found.pop("open")
    assert listed[:3] == [0, 1, 2] and len(listed) == 4  # the last is the listing's own
    assert found == {
        "argv": ["-c", "run", "-c", "é"],
        "folder": str(tmp_path),
        "said": "yes",
        "main": "__main__",
        "torch": False,
    }
    assert (tmp_path / "err").read_text() == "heard\n"
    for one in others:
        assert one.poll() is None
        one.kill()
        assert one.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize(
    "words", [("-m", "agent", "--version"), ("-m", "agent", "nothing"), ("-c", "raise SystemExit('no')")]
)
def test_it_ends_as_one_that_imports_for_itself(words: tuple[str, ...], tmp_path: Path) -> None:
    code = begun(tmp_path, *words).wait(60)
    plain = subprocess.run([sys.executable, *words], capture_output=True, check=False)
    said = ((tmp_path / "out").read_bytes(), (tmp_path / "err").read_bytes())
    assert (code, *said) == (plain.returncode, plain.stdout, plain.stderr)


def test_one_that_a_signal_ended_says_which_and_who_waits_too_short_is_told(tmp_path: Path) -> None:
    one = begun(tmp_path, "-c", "import time; time.sleep(600)")
    with pytest.raises(subprocess.TimeoutExpired):
        one.wait(0.01)
    one.send_signal(signal.SIGTERM)
    assert one.wait(60) == one.poll() == -signal.SIGTERM
    one.send_signal(signal.SIGTERM)  # it has ended: nobody else has its number
