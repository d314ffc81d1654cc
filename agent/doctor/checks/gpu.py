"""NVIDIA's GPU and its driver."""

from __future__ import annotations

from collections.abc import Iterator

from agent.doctor.finding import Said, failed, note, ok, skipped, wrong
from agent.doctor.site import Site
from agent.engines.engine import EngineUnavailable
from agent.engines.gpu.device import LIBRARY, find_gpu

NVIDIA, DISPLAY = "0x10de", "0x03"  # vendor and class on the PCI bus
NONE = "no NVIDIA GPU is built in"
QUERY = "temperature.gpu,clocks_throttle_reasons.active,memory.used,memory.total"
# What keeps its clock down, by bits of NVML's nvmlClocksThrottleReasons.
TOO_HOT, NO_POWER, SOFT = 0x08 | 0x40, 0x80, 0x04 | 0x20
FULL_SHARE = 0.95


def driver(site: Site) -> Iterator[Said]:
    wanted = site.known is not None and (
        site.known.engine.device == "cuda" or site.known.engine.kind in ("tensorrt", "torch_tensorrt")
    )
    remedy = "install NVIDIA's driver for this kernel and reboot; until then the CPU serves"
    try:
        gpu = find_gpu(site.machine.load)
    except EngineUnavailable as error:
        yield failed(error, remedy)
        return
    if gpu is not None:
        yield ok(f"{gpu.words}; its driver runs CUDA {gpu.driver}")
    elif _is_built_in(site):
        words = f"an NVIDIA GPU is built in, and its driver ({LIBRARY}) does not find it"
        yield (wrong if wanted else note)(words, remedy)
    elif wanted:
        yield wrong(f"the settings want a GPU, and {NONE}", "set engine.kind and engine.device to auto")
    else:
        yield skipped(NONE)


def strain(site: Site) -> Iterator[Said]:
    """Heat, power and memory, as nvidia-smi tells them."""
    ran = site.machine.ran("nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits")
    if ran is None or ran.code != 0:
        there = _is_built_in(site)
        yield skipped("nvidia-smi does not tell (a Jetson has none)" if there else NONE)
        return
    for number, line in enumerate(ran.out.splitlines()):
        yield from _of_gpu(number, [one.strip() for one in line.split(",")])


def _of_gpu(number: int, told: list[str]) -> Iterator[Said]:
    try:
        degrees, reasons, used, total = int(told[0]), int(told[1], 16), int(told[2]), int(told[3])
    except (ValueError, IndexError):
        yield skipped(f"GPU {number}: nvidia-smi says {', '.join(told)}")
        return
    words = f"GPU {number}: {degrees} °C, {used} of {total} MiB in use"
    if reasons & TOO_HOT:
        yield wrong(f"{words}; too hot, its clock is held down", "see fan, dust and the cabinet's cooling")
    elif reasons & NO_POWER:
        yield wrong(f"{words}; its power supply holds its clock down", "see power supply and cables")
    elif reasons & SOFT:
        yield note(
            f"{words}; its clock is held down (heat or power limit)", "see cooling and `nvidia-smi -q`"
        )
    else:
        yield ok(words)
    if total and used / total > FULL_SHARE:
        yield note(f"GPU {number}: its memory is nearly full", "see in `nvidia-smi` what else runs on it")


def _is_built_in(site: Site) -> bool:
    if "tegra" in (site.machine.text("proc/device-tree/compatible") or ""):
        return True
    places = [f"sys/bus/pci/devices/{one.name}" for one in site.machine.named("sys/bus/pci/devices/*")]
    return any(
        site.machine.text(f"{place}/vendor") == NVIDIA
        and (site.machine.text(f"{place}/class") or "").startswith(DISPLAY)
        for place in places
    )
