"""CPU, memory, heat and power mode, each good and each with its fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.doctor.checks import computer
from agent.doctor.machine import Machine
from agent.doctor.site import Site
from tests.agent.doctor.sites import put, site, states, told

X86 = "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: {}\n\nprocessor\t: 1\nmodel name\t: Xeon\nflags\t\t: {}"
ZONE = "sys__class__thermal__thermal_zone0__"


@pytest.mark.parametrize(
    ("features", "found", "words"),
    [
        ("fpu sse4_2 avx2 avx512f", "ok", "2 cores of Xeon, with avx512f"),
        ("fpu sse4_2", "note", "without AVX2"),
        ("fpu", "wrong", "no engine runs here"),
    ],
)
def test_what_the_cpu_can(tmp_path: Path, features: str, found: str, words: str) -> None:
    put(tmp_path, proc__cpuinfo=X86.format(features, features))
    assert words in told(computer.cpu, site(tmp_path), found).words


def test_an_arm_cpu_is_good(tmp_path: Path) -> None:
    put(tmp_path, proc__cpuinfo="processor\t: 0\nFeatures\t: fp asimd asimddp")
    assert "with asimddp" in told(computer.cpu, site(tmp_path), "ok").words


@pytest.mark.parametrize(("mb", "found"), [(4000, "ok"), (600, "note"), (100, "wrong")])
def test_how_much_memory_is_left(tmp_path: Path, mb: int, found: str) -> None:
    put(tmp_path, proc__meminfo=f"MemTotal: 8000000 kB\nMemAvailable:   {mb * 1024} kB")
    assert states(computer.memory, site(tmp_path)) == [found]


def test_processes_that_were_ended_for_want_of_memory_are_noted(tmp_path: Path) -> None:
    put(
        tmp_path,
        proc__meminfo="MemTotal: 8000000 kB\nMemAvailable: 4000000 kB",
        proc__vmstat="pgfault 1\noom_kill 2",
    )
    assert "ended 2 processes" in told(computer.memory, site(tmp_path), "note").words


@pytest.mark.parametrize(
    ("degrees", "kind", "found"),
    [(60, "critical", "ok"), (97, "critical", "wrong"), (86, "passive", "wrong"), (97, "active", "ok")],
)
def test_a_place_near_the_heat_that_slows_or_ends_it_is_wrong(
    tmp_path: Path, degrees: int, kind: str, found: str
) -> None:
    limit = 85_000 if kind == "passive" else 100_000
    put(
        tmp_path,
        **{
            f"{ZONE}temp": degrees * 1000,
            f"{ZONE}type": "x86_pkg_temp",
            f"{ZONE}trip_point_0_type": kind,
            f"{ZONE}trip_point_0_temp": limit,
        },
    )
    assert states(computer.heat, site(tmp_path)) == [found]


def test_a_cpu_that_heat_has_slowed_is_noted(tmp_path: Path) -> None:
    put(tmp_path, sys__devices__system__cpu__cpu0__thermal_throttle__core_throttle_count=3)
    assert "3 times" in told(computer.heat, site(tmp_path), "note").words


def test_a_machine_that_tells_nothing_is_skipped(tmp_path: Path) -> None:
    for look in (computer.cpu, computer.memory, computer.heat, computer.power):
        assert states(look, site(tmp_path)) == ["skipped"]


@pytest.mark.parametrize(("mode", "found"), [("pmode:0000", "ok"), ("pmode:0002", "note")])
def test_a_jetson_in_a_slow_power_mode_is_noted(tmp_path: Path, mode: str, found: str) -> None:
    put(tmp_path, var__lib__nvpmodel__status=mode)
    assert states(computer.power, site(tmp_path)) == [found]


@pytest.mark.parametrize(
    ("governor", "driver", "found"),
    [
        ("performance", "acpi-cpufreq", "ok"),
        ("powersave", "intel_pstate", "ok"),
        ("powersave", "acpi-cpufreq", "note"),
    ],
)
def test_a_clock_that_is_kept_low_is_noted(tmp_path: Path, governor: str, driver: str, found: str) -> None:
    put(
        tmp_path,
        sys__devices__system__cpu__cpu0__cpufreq__scaling_governor=governor,
        sys__devices__system__cpu__cpu0__cpufreq__scaling_driver=driver,
    )
    assert states(computer.power, site(tmp_path)) == [found]


def test_this_very_machine_says_what_its_cpu_can_and_its_memory() -> None:
    here = Site(machine=Machine())
    assert "cores of" in next(iter(computer.cpu(here))).words
    assert "MB can be used" in next(iter(computer.memory(here))).words
