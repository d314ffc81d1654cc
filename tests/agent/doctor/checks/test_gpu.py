"""A GPU that is wanted and cannot be used is wrong; heat and power that hold it down are said."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.doctor.checks import gpu
from tests.agent.doctor.sites import Driver, machine, program, put, site, states, told

CARD = {
    "sys__bus__pci__devices__0000:01:00.0__vendor": "0x10de",
    "sys__bus__pci__devices__0000:01:00.0__class": "0x030000",
}
WANTED = {"engine": {"device": "cuda"}}


def test_without_a_gpu_it_is_skipped_and_wrong_where_the_settings_want_one(tmp_path: Path) -> None:
    assert states(gpu.driver, site(tmp_path)) == ["skipped"]
    assert states(gpu.driver, site(tmp_path, **WANTED)) == ["wrong"]


def test_a_gpu_whose_driver_answers_is_good(tmp_path: Path) -> None:
    one = site(tmp_path, on=machine(tmp_path, load=Driver()), **WANTED)
    assert told(gpu.driver, one, "ok").words == "Orin, compute capability 8.8; its driver runs CUDA 13.0"


def test_a_driver_that_does_not_work_is_wrong(tmp_path: Path) -> None:
    one = site(tmp_path, on=machine(tmp_path, load=Driver(999)))
    assert "cuInit" in told(gpu.driver, one, "wrong").words


def test_a_card_without_a_driver_is_noted_and_wrong_where_it_is_wanted(tmp_path: Path) -> None:
    put(tmp_path, **CARD)
    assert states(gpu.driver, site(tmp_path)) == ["note"]
    assert states(gpu.driver, site(tmp_path, **WANTED)) == ["wrong"]


def test_a_jetson_has_its_gpu_without_a_bus(tmp_path: Path) -> None:
    put(tmp_path, **{"proc__device-tree__compatible": "nvidia,p3768\0nvidia,tegra234"})
    assert states(gpu.driver, site(tmp_path)) == ["note"]
    assert "Jetson" in told(gpu.strain, site(tmp_path), "skipped").words


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("61, 0x0000000000000000, 400, 8192", ["ok"]),
        ("61, 0x0000000000000001, 400, 8192", ["ok"]),
        ("93, 0x0000000000000040, 400, 8192", ["wrong"]),
        ("61, 0x0000000000000080, 400, 8192", ["wrong"]),
        ("61, 0x0000000000000004, 400, 8192", ["note"]),
        ("61, 0x0000000000000000, 8100, 8192", ["ok", "note"]),
        ("[N/A], [N/A], [N/A], [N/A]", ["skipped"]),
    ],
)
def test_what_nvidia_smi_says_of_heat_power_and_memory(tmp_path: Path, line: str, found: list[str]) -> None:
    program(tmp_path, "nvidia-smi", line)
    assert states(gpu.strain, site(tmp_path)) == found


def test_without_nvidia_smi_it_is_skipped(tmp_path: Path) -> None:
    assert states(gpu.strain, site(tmp_path)) == ["skipped"]
