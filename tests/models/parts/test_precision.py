"""Training uses bfloat16 only where the processor says that it has it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.parts.precision import autocast, has_bf16

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16\n", True),
        ("processor: 0\nflags\t\t: fpu amx_tile amx_bf16\n", True),
        ("processor: 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("flags\t\t: fpu\nvmx flags\t: avx512_bf16\n", False),
        ("flags\t\t: not_avx512_bf16_really\n", False),
        ("processor: 0\n", False),
        ("", False),
    ],
)
def test_the_processor_s_flags_decide(tmp_path: Path, text: str, expected: bool) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert has_bf16(CPU, tmp_path / "cpuinfo") is expected


def test_a_machine_that_does_not_say_trains_in_float32(tmp_path: Path) -> None:
    assert not has_bf16(CPU, tmp_path / "absent")


def test_autocast_is_bf16_or_nothing() -> None:
    with autocast(CPU):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if has_bf16(CPU) else torch.float32)
