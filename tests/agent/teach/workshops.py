"""A workshop that trains nothing, goes on where it was cut, and fails on cue."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from agent.line.way import RightOfWay
from agent.teach.workshop import Hearing, Wanted, train
from tests.agent.engines.small_bundle import write_small

STEPS = 20
# Without its low priority, by which it waits for as long as others compute.
LAUNCH = (sys.executable, "-c", "import os, sys; os.setpgid(0, 0); os.execv(sys.argv[2], sys.argv[2:])")

PROGRAM = f"""#!{sys.executable}
import hashlib, json, os, shutil, signal, sys, time
from pathlib import Path
here = Path(__file__).parent
words = sys.argv[1:]
assert words[0] == "teach" and "--json" in words
data, out = Path(words[1]), Path(words[words.index("--out") + 1])
def cue():
    return json.loads((here / "cue.json").read_text())
def say(kind, **values):
    print(json.dumps({{"schema": "plumbline-lab.teach-said/1", "kind": kind, **values}}), flush=True)
with (here / "asked.jsonl").open("a") as asked:
    asked.write(json.dumps(words) + "\\n")
(here / "pid").write_text(str(os.getpid()))
found = cue()
if found.get("refuses"):
    print("plumbline-lab: " + found["refuses"], file=sys.stderr)
    sys.exit(2)
if found.get("nonsense"):
    print(found["nonsense"], flush=True)
    time.sleep(60)
if found.get("deaf"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
out.mkdir(parents=True, exist_ok=True)
mark = out / "checkpoint"
done = int(mark.read_text()) if mark.exists() else 0
with (here / "began.txt").open("a") as began:
    began.write(str(done) + "\\n")
say("plan", preset=words[words.index("--preset") + 1], images=1200, seconds=90.0, lines=["sixty good parts"])
while done < {STEPS}:
    found = cue()
    if found.get("waits_at") == done:
        time.sleep(0.02)
        continue
    if found.get("dies_at") == done:
        os.kill(os.getpid(), signal.SIGKILL)
    if found.get("full_at") == done:
        print("plumbline-lab: " + str(out) + ": No space left on device", file=sys.stderr)
        sys.exit(1)
    done += 1
    unfinished = out / ".checkpoint"
    unfinished.write_text(str(done))
    unfinished.replace(mark)
    say("far", share=done / {STEPS}, words="training the student", left_s=60.0 * ({STEPS} - done))
if found.get("empty"):
    sys.exit(0)
if not (out / "bundle").exists():
    shutil.copytree(here / "small", out / ".bundle", dirs_exist_ok=True)
    (out / ".bundle").rename(out / "bundle")
sha256 = hashlib.sha256((out / "bundle" / "manifest.yaml").read_bytes()).hexdigest()
names = sorted(one.name for one in data.iterdir())
say("done", bundle=found.get("bundle", str(out / "bundle") + found.get("climbs", "")),
    sha256=found.get("sha256", sha256),
    report=str(out / "report"), held=names[::2], lines=["8 of 8 defective parts are rejected"])
if found.get("lingers"):
    os.close(1)
    time.sleep(found["lingers"])
"""


class FakeWorkshop:
    """In a folder of its own; `cue` is looked at before each of its steps."""

    def __init__(self, folder: Path, bundle: Path | None = None) -> None:
        """It makes the bundle at `bundle`, or a small one."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.program = folder / "plumbline-lab"
        self.program.write_text(PROGRAM)
        self.program.chmod(0o755)
        if bundle is None:
            write_small(folder / "small")
        else:
            shutil.copytree(bundle, folder / "small")
        self.cue()

    def cue(self, **found: Any) -> None:
        unfinished = self.folder / ".cue"
        unfinished.write_text(json.dumps(found))
        unfinished.replace(self.folder / "cue.json")

    def find(self) -> Path:
        return self.program

    def run(self, wanted: Wanted, program: Path, *, way: RightOfWay) -> Hearing:
        return train(wanted, program, way=way, launch=LAUNCH, grace_s=2.0)

    @property
    def began(self) -> list[int]:
        """At which step each of its runs began."""
        path = self.folder / "began.txt"
        return list(map(int, path.read_text().split())) if path.exists() else []

    @property
    def asked(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "asked.jsonl").read_text().splitlines()]

    def is_running(self) -> bool:
        try:
            os.kill(int((self.folder / "pid").read_text()), 0)
        except (ProcessLookupError, FileNotFoundError):
            return False
        return True
