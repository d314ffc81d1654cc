"""A process with a station's uplink that says it is online and waits to be killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.agent.uplink.stations import mqtt, station, status


def main() -> None:
    one = station(Path(sys.argv[1]), mqtt(int(sys.argv[2])))
    one.start()
    one.link.publish_status(status("online"))
    time.sleep(600)


main()
