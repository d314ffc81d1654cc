"""A running station whose process is killed, or whose power is cut, at every durable step of a rollout.

    python -m tests.agent.remote.updater_cuts FOLDER SOURCE stays|refused|breached death|power

cuts the rollout of SOURCE into FOLDER at each step, each time in a copy of the folder and in a process
that is killed for real, starts the station again, gives it the same document once more, and says in JSON what
each cut left and what came of it.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from agent.clock import ManualClock
from tests.agent.remote.cuts import Cutter, left, renew
from tests.agent.remote.depots import content, served
from tests.agent.remote.rollouts import Rig, desired, digest, signed


class Morning(ManualClock):
    """Of one run of the machine, or of another one."""

    def __init__(self, boot: str) -> None:
        super().__init__(datetime(2026, 6, 1, tzinfo=timezone.utc), synced=True)
        self._name = boot

    def boot(self) -> str:
        return self._name


def station(folder: Path, what: str, boot: str) -> Rig:
    return Rig(folder, clock=Morning(boot), refused=(3,) if what == "refused" else ())


def carry_through(rig: Rig, document: bytes, what: str) -> None:
    """To the end, from wherever it is."""
    rig.verdicts(30)
    rig.offer(document)
    for _ in range(4):
        rig.until_state("probation", "rolling_back", "idle", "failed")
        if rig.record.state == "idle":
            return
        if rig.record.state == "rolling_back":  # verdicts count from when it judges again
            rig.until(lambda: rig.updater._duties._watching is not None or rig.record.state == "idle")
        worse = what == "breached" and rig.record.state == "probation"
        rig.verdicts(40, is_error=worse)
        rig.until_state("rolling_back", "idle") if worse else rig.until_state("idle")
        if rig.record.state == "rolling_back":
            rig.until(lambda: rig.stage.serves == rig.record.previous)


def cut(folder: Path, at: int, document: bytes, what: str, kind: str) -> bool:
    """Whether it was killed before its step `at`, and did not come to its end."""
    child = os.fork()
    if child == 0:
        rig = station(folder, what, "a")
        Cutter(folder, at, kind).arm()
        carry_through(rig, document, what)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def after(folder: Path, document: bytes, what: str, kind: str) -> dict[str, Any]:
    """What the next start makes of it."""
    rig = station(folder, what, "a" if kind == "death" else "b")
    serves = rig.begun.serves
    begun = None if serves is None else rig.depot.open(serves).manifest.counter
    carry_through(rig, document, what)
    rig.updater.turn()
    rig.close()
    there = {one.name for one in folder.iterdir()}
    bundles = {one for one in there if len(one) == 64}
    left_over = there - bundles - {"current", "previous", "rollout.json", ".lock", ".serving"}
    return {
        "begun": begun,
        "served": served(folder),
        "outcome": rig.record.outcome,
        "bundles": len(bundles),
        "left_over": sorted(left_over),
    }


def main(folder: Path, source: Path, what: str, kind: str) -> None:
    document = signed(desired(source, 5))
    once = folder.parent / "once" / "bundles"
    found: list[dict[str, Any]] = []
    gc.freeze()  # children share what is imported as long as nothing counts its references anew
    renew(folder, once)
    before = sorted(content(folder))
    while cut(once, len(found), document, what, kind):
        one = {"left": left(once), "after": after(once, document, what, kind)}
        found.append({**one, "is_as_before": sorted(content(once)) == before})
        renew(folder, once)
    print(json.dumps({"target": digest(source), "cuts": found}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
