"""A slot on the CUDA runtime copies in, launches, copies back, frees what it took and names its errors."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Mapping

import numpy as np
import pytest

from agent.engines.engine import DeviceLost, EngineUnavailable, OutOfMemory
from agent.engines.gpu.cuda_runtime import Cuda, RuntimeSlot
from agent.engines.gpu.ring import Ring, one_by_one, overlapped
from agent.messages import Pixels
from tests.agent.engines.fake_cuda import FakeCuda

SIDE = 8


def shapes(batch: int) -> dict[str, tuple[tuple[int, ...], type]]:
    return {
        "tiles": ((batch, SIDE, SIDE, 1), np.uint8),
        "score": ((batch,), np.float32),
        "map": ((batch, SIDE, SIDE), np.float32),
        "restored": ((batch, SIDE, SIDE, 1), np.uint8),
    }


def array(address: int, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype).reshape(shape)


def slot_on(fake: FakeCuda, batch: int) -> RuntimeSlot:
    """A model whose map is the tile over 255, whose score is the map's mean; the restoration is inverted."""

    def enqueue(addresses: Mapping[str, int], stream: int) -> None:
        on_device = {name: array(addresses[name], *shapes(batch)[name]) for name in shapes(batch)}

        def work() -> None:
            on_device["map"][:] = on_device["tiles"][..., 0] / np.float32(255)
            on_device["score"][:] = on_device["map"].mean((1, 2))
            on_device["restored"][:] = 255 - on_device["tiles"]

        fake.kernel(work, stream)

    return RuntimeSlot(Cuda(fake), shapes(batch), enqueue, "fake-f32")


def ring_on(fake: FakeCuda) -> Ring:
    slots = {4: [slot_on(fake, 4) for _ in range(3)], 1: [slot_on(fake, 1) for _ in range(2)]}
    for of_size in slots.values():
        for slot in of_size:
            slot.open()
    return Ring(slots)


def tiles(count: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 1), np.uint8)


def test_batches_through_streams_and_graphs_come_back_right_and_in_order() -> None:
    ring = ring_on(FakeCuda())
    for count in (1, 4, 7, 23):
        given = tiles(count, seed=count)
        for loop in (one_by_one, overlapped):
            found = loop(ring, given, True)
            assert np.array_equal(found.restored, 255 - given)
            assert np.allclose(found.scores, given.mean((1, 2, 3)) / 255, atol=1e-6)
            assert found.engine == "fake-f32"


def test_an_answer_stays_when_its_slot_is_used_again() -> None:
    ring = ring_on(FakeCuda())
    first = overlapped(ring, tiles(4), True)
    kept = first.maps.copy()
    for seed in range(4):
        overlapped(ring, tiles(4, seed + 1), True)
    assert np.array_equal(first.maps, kept)


def test_restorations_are_not_copied_back_unless_asked_for() -> None:
    fake = FakeCuda()
    ring = ring_on(fake)
    assert overlapped(ring, tiles(5), False).restored is None


def test_everything_is_freed_once() -> None:
    fake = FakeCuda()
    ring = ring_on(fake)
    assert fake.alive > 0
    ring.close()
    assert fake.alive == 0


@pytest.mark.parametrize("allocations", range(8))
def test_a_slot_that_runs_out_of_memory_leaves_nothing_behind(allocations: int) -> None:
    fake = FakeCuda()
    call = "cudaMalloc" if allocations < 4 else "cudaMallocHost"
    fake.errors[call] = "cudaErrorMemoryAllocation"
    fake.fail_after[call] = allocations % 4
    with pytest.raises(OutOfMemory, match=f"{call}: cudaErrorMemoryAllocation; free memory"):
        slot_on(fake, 4).open()
    fake.errors.clear()
    assert fake.alive == 0


@pytest.mark.parametrize(
    "call", ["cudaMemcpyAsync", "cudaGraphLaunch", "cudaEventRecord", "cudaEventSynchronize"]
)
def test_a_gpu_that_falls_off_the_bus_is_a_lost_device(call: str) -> None:
    fake = FakeCuda()
    ring = ring_on(fake)
    fake.errors = {call: "cudaErrorDeviceUnavailable", "cudaStreamSynchronize": "cudaErrorDeviceUnavailable"}
    with pytest.raises(DeviceLost, match=f"{call}: cudaErrorDeviceUnavailable; see dmesg"):
        overlapped(ring, tiles(9), True)
    fake.errors["cudaFree"] = "cudaErrorDeviceUnavailable"
    ring.close()  # raises nothing: the memory is gone with the device


@pytest.mark.parametrize("error", ["cudaErrorInsufficientDriver", "cudaErrorNoDevice"])
def test_a_driver_too_old_or_no_device_is_no_engine_here(error: str) -> None:
    fake = FakeCuda()
    fake.errors["cudaStreamCreateWithFlags"] = error
    with pytest.raises(EngineUnavailable, match=f"{error}; the driver is too old"):
        slot_on(fake, 1).open()


@pytest.mark.skipif(importlib.util.find_spec("cuda") is None, reason="cuda-bindings is not installed")
def test_the_real_runtime_on_a_machine_without_a_driver_is_no_engine_here() -> None:
    from agent.engines.gpu.device import find_gpu

    if find_gpu() is not None:
        pytest.skip("this machine has a GPU")
    from cuda.bindings import runtime

    with pytest.raises(EngineUnavailable, match="cudaErrorInsufficientDriver"):
        slot_on(runtime, 1).open()
