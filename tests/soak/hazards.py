"""How each hazard is done to a site. Each returns when the site works again, or the day has failed."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.brokers import eventually
from tests.soak.plan import Hazard, Kind
from tests.soak.site import Site

STEPS_S = (2 * 3600.0, -3600.0, 400 * 86_400.0, -90.0)  # two hours, one back, a year that is wrong, a leap
STUFF_BYTES = 1 << 20
LOOK_S = 0.1
STILL_S = 0.3


def camera_lost(site: Site, hazard: Hazard) -> None:
    site.camera.kill()
    time.sleep(hazard.lasts_s)
    site.camera.start()
    site.goes_on("top")


def broker_restarted(site: Site, hazard: Hazard) -> None:
    site.broker.stop()
    time.sleep(hazard.lasts_s)
    site.broker.start()
    site.goes_on()


def broker_killed(site: Site, hazard: Hazard) -> None:
    """An acknowledgement is not durability: it dies once all that it has sent is stored."""
    site.broker.freeze()
    eventually(lambda: not _unread(site.broker.port), "what the broker has sent is read")
    before = -1
    while (stored := site.mes.stored()) != before:
        before = stored
        time.sleep(STILL_S)
    site.broker.kill()
    time.sleep(hazard.lasts_s)
    site.broker.start()
    site.goes_on()


def disk_full(site: Site, hazard: Hazard) -> None:
    _fill(site.disk, hazard.lasts_s)
    site.goes_on()


def disk_full_without_broker(site: Site, hazard: Hazard) -> None:
    site.broker.stop()
    _fill(site.disk, hazard.lasts_s)
    site.broker.start()
    site.goes_on()


def settings_from_afar(site: Site, hazard: Hazard) -> None:
    """By turns what is in force from the next frame on, and what takes another run."""
    judged = {"judge": {"min_area_px": 16 + hazard.nth}}
    rung = {"line": {"ring_frames": 64 + hazard.nth}}
    site.office.settle(rung if hazard.nth % 3 == 1 else judged, wanted="applied")


def settings_refused(site: Site, hazard: Hazard) -> None:
    site.office.settle({"judge": {"min_area_px": "many"}}, wanted="failed")


def settings_by_file(site: Site, hazard: Hazard) -> None:
    if hazard.nth % 3 == 2:
        site.edit(mqtt={"window": 20 + hazard.nth})  # another run
    else:
        site.edit(crops={"margin_px": 16 + hazard.nth})
    revision = site.agent.settings["revision"]
    site.reload()
    eventually(
        lambda: site.mes.last()["settings"]["version"] == revision, f"records of revision {revision} come"
    )


def bundle_rolled_out(site: Site, hazard: Hazard) -> None:
    site.office.roll_out(wanted="applied")


def bundle_refused(site: Site, hazard: Hazard) -> None:
    site.office.roll_out(golden=1.5, wanted="failed")


def clock_stepped(site: Site, hazard: Hazard) -> None:
    site.clock.set_off(STEPS_S[hazard.nth % len(STEPS_S)])
    time.sleep(hazard.lasts_s)
    site.goes_on()
    site.clock.set_off(0.0)
    site.goes_on()


def reload(site: Site, hazard: Hazard) -> None:
    site.reload()
    site.goes_on()


def agent_killed(site: Site, hazard: Hazard) -> None:
    site.agent.kill()
    site.start_agent()
    for camera in ("top", "left", "right"):
        site.goes_on(camera)


def agent_killed_without_broker(site: Site, hazard: Hazard) -> None:
    site.broker.stop()
    time.sleep(hazard.lasts_s)
    site.agent.kill()
    site.start_agent()
    time.sleep(hazard.lasts_s)
    site.broker.start()
    site.goes_on()


def agent_stopped(site: Site, hazard: Hazard) -> None:
    assert site.agent.stop() == 0, site.agent.log()[-2000:]
    site.start_agent()
    site.goes_on()


DO: Mapping[Kind, Callable[[Site, Hazard], None]] = {
    "camera lost": camera_lost,
    "broker restarted": broker_restarted,
    "broker killed": broker_killed,
    "disk full": disk_full,
    "disk full, no broker": disk_full_without_broker,
    "settings from afar": settings_from_afar,
    "settings refused": settings_refused,
    "settings by file": settings_by_file,
    "bundle rolled out": bundle_rolled_out,
    "bundle refused": bundle_refused,
    "clock stepped": clock_stepped,
    "reload": reload,
    "agent killed": agent_killed,
    "agent killed, no broker": agent_killed_without_broker,
    "agent stopped": agent_stopped,
}


def _fill(disk: Path, lasts_s: float) -> None:
    """Somebody else takes all that is free, and what becomes free meanwhile; then it is gone again."""
    ballast, ends_s = disk / "ballast", time.monotonic() + lasts_s
    try:
        while time.monotonic() < ends_s:
            _stuff(ballast)
            time.sleep(LOOK_S)
    finally:
        ballast.unlink(missing_ok=True)


def _stuff(ballast: Path) -> None:
    for size in (STUFF_BYTES, 4096):
        try:
            with ballast.open("ab", buffering=0) as file:
                while file.write(bytes(size)) == size:
                    continue
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def _unread(port: int) -> int:
    """Bytes that the broker has sent and nobody has read yet, on this machine."""
    wanted = f":{port:04X}"
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(int(one[4].split(":")[1], 16) for one in fields if one[2].endswith(wanted))
