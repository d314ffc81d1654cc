"""The computer: what its CPU can, memory, heat, and the power mode it runs in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agent.doctor.finding import Said, note, ok, skipped, wrong
from agent.doctor.site import Site

BEST = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "bf16", "asimddp", "asimd")  # what engines profit from
NEEDED_X86 = "sse4_2"
LITTLE_MB, SOME_MB = 300, 1000
NEAR_DEGREES = 5.0
STEADY = ("intel_pstate", "amd-pstate-epp")  # their powersave does run at full clock
ZONES, CPUS = "sys/class/thermal", "sys/devices/system/cpu"


def cpu(site: Site) -> Iterator[Said]:
    text = site.machine.text("proc/cpuinfo")
    found = re.search(r"(?m)^(?:flags|Features)\s*:\s*(.*)$", text or "")
    if text is None or found is None:
        yield skipped("the kernel does not tell what the CPU can")
        return
    features = set(found[1].split())
    name = re.search(r"(?m)^(?:model name|Model)\s*:\s*(.*)$", text)
    cores = len(re.findall(r"(?m)^processor\s*:", text))
    words = f"{cores} cores of {name[1] if name else 'an unnamed CPU'}"
    best = next((one for one in BEST if one in features), None)
    is_x86 = re.search(r"(?m)^flags\s*:", text) is not None
    if is_x86 and NEEDED_X86 not in features:
        yield wrong(f"{words}: without SSE4.2 no engine runs here", "use another computer")
    elif is_x86 and "avx2" not in features:
        yield note(
            f"{words}: without AVX2, so that frames take several times as long",
            "in a virtual machine hand the host's CPU through; else use another computer",
        )
    else:
        yield ok(f"{words}, with {best or 'nothing that engines profit from'}")


def memory(site: Site) -> Iterator[Said]:
    text = site.machine.text("proc/meminfo") or ""
    told = {key: int(value) // 1024 for key, value in re.findall(r"(?m)^(\w+):\s+(\d+) kB", text)}
    if "MemAvailable" not in told:
        yield skipped("the kernel does not tell")
    else:
        free = told["MemAvailable"]
        words = f"{free} of {told.get('MemTotal', 0)} MB can be used"
        remedy = "see in `top` what takes it; fewer cameras or smaller rings need less"
        yield ok(words) if free >= SOME_MB else (note if free >= LITTLE_MB else wrong)(words, remedy)
    killed = re.search(r"(?m)^oom_kill (\d+)", site.machine.text("proc/vmstat") or "")
    if killed and int(killed[1]):
        yield note(
            f"for want of memory the kernel ended {killed[1]} processes since the boot",
            "`journalctl -k --grep=oom` says which; give it more memory or less to do",
        )


def heat(site: Site) -> Iterator[Said]:
    zones = [one.name for one in site.machine.named(f"{ZONES}/thermal_zone*")]
    slowed = sum(
        site.machine.number(str(one.relative_to(site.machine.root))) or 0
        for one in site.machine.named(f"{CPUS}/cpu*/thermal_throttle/*_throttle_count")
    )
    hottest: float | None = None
    for zone in zones:
        degrees = _degrees(site, f"{zone}/temp")
        if degrees is None:
            continue
        hottest = degrees if hottest is None else max(hottest, degrees)
        for kind in site.machine.named(f"{ZONES}/{zone}/trip_point_*_type"):
            limit = _degrees(site, f"{zone}/{kind.name.removesuffix('_type')}_temp")
            word = site.machine.text(f"{ZONES}/{zone}/{kind.name}")
            if limit is not None and limit > 0 and word in ("critical", "hot", "passive"):
                near = 0.0 if word == "passive" else NEAR_DEGREES
                if degrees >= limit - near:
                    name = site.machine.text(f"{ZONES}/{zone}/type") or zone
                    yield wrong(
                        f"{name}: {degrees:.0f} °C, and at {limit:.0f} °C it is slowed or switched off",
                        "see fan, dust and the cabinet's cooling",
                    )
                    return
    if slowed:
        yield note(
            f"heat has slowed the CPU {slowed} times since the boot",
            "see fan, dust and the cabinet's cooling",
        )
    elif hottest is None:
        yield skipped("the machine tells no temperatures")
    else:
        yield ok(f"{hottest:.0f} °C at the hottest place, and nothing was slowed")


def power(site: Site) -> Iterator[Said]:
    """Jetson's power mode, and the governors of the CPU's clock."""
    machine, told = site.machine, False
    mode = machine.text("var/lib/nvpmodel/status")
    if mode is not None:
        told = True
        number = mode.rpartition(":")[2].lstrip("0") or "0"
        if number == "0":
            yield ok("power mode 0, the one without limits on most modules")
        else:
            yield note(
                f"power mode {number} of this Jetson",
                "`nvpmodel -q` names it; `sudo nvpmodel -m 0` is the fastest",
            )
    governors = {
        machine.text(f"{CPUS}/{one.parent.parent.name}/cpufreq/scaling_governor")
        for one in machine.named(f"{CPUS}/cpu*/cpufreq/scaling_governor")
    }
    if "powersave" in governors and machine.text(f"{CPUS}/cpu0/cpufreq/scaling_driver") not in STEADY:
        yield note(
            "the CPU's clock is kept at its lowest (governor powersave)",
            "`sudo cpupower frequency-set -g performance`",
        )
    elif governors:
        yield ok(f"the CPU's clock is governed by {', '.join(sorted(filter(None, governors)))}")
    elif not told:
        yield skipped("the machine tells no power mode")


def _degrees(site: Site, place: str) -> float | None:
    value = site.machine.number(f"{ZONES}/{place}")
    return None if value is None else value / 1000
