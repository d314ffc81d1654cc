"""The service, as systemd sees it."""

from __future__ import annotations

from collections.abc import Iterator

from agent.doctor.finding import Said, note, ok, skipped, wrong
from agent.doctor.site import Site

SHOWN = "LoadState,ActiveState,SubState,Result,NRestarts,MainPID,UnitFileState,Type,WatchdogUSec,StatusText"
OFF = ("", "0", "infinity")
NOT_HERE = "systemd does not run here"


def state(site: Site) -> Iterator[Said]:
    told = _told(site)
    if isinstance(told, Said):
        yield told
        return
    log = f"`systemctl status {site.unit}` and `journalctl -u {site.unit} -n 50` say why"
    active = told.get("ActiveState", "")
    words = f"{site.unit}: {active} ({told.get('SubState')})"
    if active in ("active", "activating", "reloading"):
        status = told.get("StatusText", "")
        said = f"{words}{', ' if status else ''}{status}"
        if status.startswith("Degraded"):
            yield note(said, "mend what it says; it is degraded for as long as that lasts")
        else:
            yield ok(said)
    elif active == "failed":
        yield wrong(f"{words}, {told.get('Result')}", log)
    else:
        yield note(f"{words}", f"`sudo systemctl start {site.unit}`")
    restarts = told.get("NRestarts", "0")
    if restarts.isdecimal() and int(restarts):
        yield note(f"{site.unit}: systemd had to start it again {restarts} times", log)


def boot(site: Site) -> Iterator[Said]:
    told = _told(site)
    if isinstance(told, Said):
        yield told
    elif told.get("UnitFileState") in ("enabled", "enabled-runtime", "static", "alias", "indirect"):
        yield ok(f"{site.unit}: starts with the machine")
    else:
        yield note(
            f"{site.unit}: does not start with the machine ({told.get('UnitFileState') or 'not enabled'})",
            f"`sudo systemctl enable {site.unit}`",
        )


def watchdog(site: Site) -> Iterator[Said]:
    told = _told(site)
    if isinstance(told, Said):
        yield told
    elif told.get("Type") not in ("notify", "notify-reload"):
        yield wrong(
            f"{site.unit}: is of type {told.get('Type')}, so that nobody sees it stand",
            "install its unit anew",
        )
    elif told.get("WatchdogUSec", "") in OFF:
        yield wrong(
            f"{site.unit}: has no watchdog: one that stands still stays so", "set WatchdogSec=30s in its unit"
        )
    else:
        yield ok(f"{site.unit}: is started again when it stands still for {told['WatchdogUSec']}")


def devices(site: Site) -> Iterator[Said]:
    """Whether the service, whose list of devices is closed, may use the GPU that is built in."""
    told = _told(site, "DevicePolicy,DeviceAllow")
    if isinstance(told, Said):
        yield told
        return
    if not site.machine.named("dev/nvidia*") and not site.machine.named("dev/nvhost-gpu"):
        yield skipped("there is no device of an NVIDIA GPU")
    elif told.get("DevicePolicy") in ("closed", "strict") and "nvidia" not in told["all"]:
        yield wrong(
            f"{site.unit}: may not use the GPU, its list of devices is closed",
            "copy /usr/share/doc/plumbline/drop-ins/gpu.conf into its .d folder, daemon-reload, restart",
        )
    else:
        yield ok(f"{site.unit}: may use the GPU")


def _told(site: Site, properties: str = SHOWN) -> dict[str, str] | Said:
    if not (site.machine.root / "run/systemd/system").is_dir():
        return skipped(NOT_HERE)
    if site.unit is None:
        return skipped("the settings are of no service: they do not lie in /etc/plumbline")
    ran = site.machine.ran("systemctl", "show", site.unit, f"--property=LoadState,{properties}")
    if ran is None or ran.code != 0:
        return skipped("systemctl does not answer")
    told = ran.values()
    if told.get("LoadState") == "not-found":
        return note(f"{site.unit}: is not installed", "install the package, or run it by another manager")
    return {**told, "all": ran.out}
