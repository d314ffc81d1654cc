"""Which arithmetic this machine trains in: bf16 autocast where the CPU or GPU has it, float32 elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import torch

BF16_FLAGS = {"amx_bf16", "avx512_bf16"}


def has_bf16(device: torch.device, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """True when bfloat16 is native: AMX or AVX512-bf16 on a CPU, Ampere or later on a GPU."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        text = cpuinfo.read_text()
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return bool(BF16_FLAGS & set(flags.split()))


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bf16 autocast or nothing, by `has_bf16`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bf16(device))


def training_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
