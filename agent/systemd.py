"""What the agent tells the service manager that started it: sd_notify(3), without a library.

Messages are datagrams of assignments to $NOTIFY_SOCKET. What cannot be sent is lost, as that manual page
prescribes: the manager's own time limits tell of it.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

SEND_S = 1.0  # a manager that is busy for longer hears the next one
LONGEST_STATUS = 512  # characters; systemctl shows one line


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """`address` is empty where nobody listens; `watchdog_s` is how long may pass between two `alive`."""

    address: str = ""
    watchdog_s: float | None = None

    def ready(self) -> None:
        """Start or reload is finished."""
        self.tell("READY=1")

    def status(self, words: str) -> None:
        """How it stands, in one line for people."""
        self.tell("STATUS=" + " ".join(words.split())[:LONGEST_STATUS])

    def reloading(self, now_ns: int) -> None:
        """`ready` has to follow. `now_ns` is of CLOCK_MONOTONIC, and stands in the same datagram."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={now_ns // 1000}")

    def stopping(self) -> None:
        self.tell("STOPPING=1")

    def alive(self) -> None:
        """Everything moves."""
        self.tell("WATCHDOG=1")

    def act(self) -> None:
        """What the manager does when the watchdog is silent for too long is to be done now."""
        self.tell("WATCHDOG=trigger")

    def extend(self, seconds: float) -> None:
        """A start, reload or stop may take so long from now on."""
        self.tell(f"EXTEND_TIMEOUT_USEC={_microseconds(seconds)}")

    def watch_every(self, seconds: float) -> None:
        """So long may pass between two `alive` from now on; nothing where there is no watchdog."""
        if self.watchdog_s is not None:
            self.tell(f"WATCHDOG_USEC={_microseconds(seconds)}")

    def tell(self, *assignments: str) -> None:
        """One datagram."""
        if not self.address:
            return
        place = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(SEND_S)
            out.sendto("\n".join(assignments).encode(errors="replace"), place)


NOBODY = Manager()


def manager_of(environment: Mapping[str, str], *, pid: int) -> Manager:
    """Who started this process, and its watchdog where that means this very process."""
    interval = environment.get("WATCHDOG_USEC", "")
    is_meant = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
    watched = is_meant and interval.isdecimal() and int(interval) > 0
    return Manager(
        address=environment.get("NOTIFY_SOCKET", ""), watchdog_s=int(interval) / 1e6 if watched else None
    )


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)
