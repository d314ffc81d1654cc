"""A process with a link at the port it is given: it says how it stands, and how much memory it has held."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from pathlib import Path

import structlog

from tests.agent.uplink.links import link_to
from tests.agent.uplink.stations import mqtt


def peak_bytes() -> int:
    """The most that this process has had in memory at a time."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def main() -> None:
    # Two threads that print to one stream end up in one line: what is told has its own.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    link = link_to(mqtt(int(sys.argv[1]), sys.argv[2]))
    link.start()
    before = peak_bytes()
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    while not ended.is_set():
        told = {
            "grown_bytes": peak_bytes() - before,
            "connected": link.state.connected,
            "connects": link.state.connects,
            "oversized": link.state.oversized,
            "dropped": link.inbound_dropped,
        }
        print(json.dumps(told), flush=True)
        time.sleep(0.05)
    link.stop()


if __name__ == "__main__":
    main()
