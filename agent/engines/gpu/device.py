"""Which NVIDIA GPU this machine has, asked of the driver itself: no package is needed for it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.engines.engine import EngineUnavailable

LIBRARY = "libcuda.so.1"
# CUDA driver API, CUresult and CUdevice_attribute
NO_DEVICE = 100
MAJOR, MINOR = 75, 76


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """The first GPU."""

    name: str
    capability: str  # compute capability, such as 8.7
    driver: str  # the newest CUDA that the driver can run, such as 13.0

    @property
    def words(self) -> str:
        return f"{self.name}, compute capability {self.capability}"


def find_gpu(load: Callable[[str], Any] = ctypes.CDLL) -> Gpu | None:
    """The GPU; None when the machine has no driver or no GPU.

    Raises EngineUnavailable when there is a driver that does not work.
    """
    try:
        cuda = load(LIBRARY)
    except OSError:
        return None
    code = cuda.cuInit(0)
    if code == NO_DEVICE:
        return None
    _check(cuda, "cuInit", code)
    version, major, minor, device = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    _check(cuda, "cuDriverGetVersion", cuda.cuDriverGetVersion(ctypes.byref(version)))
    _check(cuda, "cuDeviceGet", cuda.cuDeviceGet(ctypes.byref(device), 0))
    _check(cuda, "cuDeviceGetName", cuda.cuDeviceGetName(name, len(name), device))
    for value, attribute in ((major, MAJOR), (minor, MINOR)):
        code = cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        _check(cuda, "cuDeviceGetAttribute", code)
    return Gpu(
        name=name.value.decode(errors="replace"),
        capability=f"{major.value}.{minor.value}",
        driver=f"{version.value // 1000}.{version.value % 1000 // 10}",
    )


def _check(cuda: Any, call: str, code: int) -> None:
    if code == 0:
        return
    text = ctypes.c_char_p()
    cuda.cuGetErrorString(code, ctypes.byref(text))
    words = (text.value or b"unknown error").decode()
    raise EngineUnavailable(
        f"GPU: {call} of {LIBRARY} failed with {code}: {words}; see nvidia-smi, update the driver or "
        "reboot; without it the CPU serves"
    )
