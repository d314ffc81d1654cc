"""Who holds a file's lock, told by the kernel: nobody's lock is tried for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.doctor.machine import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process."""

    pid: int
    command: str  # empty where it may not be seen

    @property
    def is_agent(self) -> bool:
        words = self.command.split()
        return "run" in words and any(Path(word).name in ("plumbline", "agent") for word in words)


def holder_of(machine: Machine, lock: Path) -> Holder | None:
    """The process that holds the lock; None where none does."""
    try:
        inode, named = lock.stat().st_ino, lock.read_text(errors="replace").strip()
    except OSError:
        return None
    pid = int(named) if named.isdecimal() else 0
    locks = machine.text("proc/locks")
    if locks is not None:
        holders = [line.split() for line in locks.splitlines() if "FLOCK" in line and "->" not in line]
        held = [one[4] for one in holders if len(one) > 5 and one[5].endswith(f":{inode}")]
        if not held:
            return None
        pid = int(held[0]) if held[0].isdecimal() and int(held[0]) else pid  # 0: of another namespace
    command = (machine.text(f"proc/{pid}/cmdline") or "").replace("\0", " ").strip()
    if locks is None and not command:
        return None
    return Holder(pid=pid, command=command)
