"""A GenTL camera in a process of its own: whole pictures, named mistakes, and no harm when the process dies.

Against TLSimu, the simulated producer that `genicam` 1.4.0 brings.
"""

from __future__ import annotations

import os
import queue
import signal
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from agent.cameras.camera import CameraError, CameraMisconfigured
from agent.cameras.gentl.camera import HarvestersCamera
from agent.cameras.gentl.driver import delivered
from agent.cameras.gentl.slots import Slots
from agent.clock import SystemClock
from agent.messages import Frame, FrameFault
from agent.settings.camera import FeatureWrite, HarvestersSource
from tests.agent.cameras.scripted import eventually
from tests.agent.cameras.watched import watched_camera
from tests.lived import living

SPEC = find_spec("genicam")
PRODUCER = Path(SPEC.origin).parent / "TLSimu.cti" if SPEC and SPEC.origin else Path("TLSimu.cti")
needs_producer = pytest.mark.skipif(
    not PRODUCER.exists() or find_spec("harvesters") is None, reason="needs harvesters and genicam 1.4.0"
)
MONO = "SN_InterfaceA_0"
COLOUR = "SN_InterfaceA_1"
PATIENCE_S = 60.0
FRAMES = 30


def camera_on(device: str = MONO, *features: FeatureWrite, **settings: object) -> HarvestersCamera:
    source = HarvestersSource.model_validate(
        {"producer": PRODUCER, "device": device, "features": features, **settings}
    )
    return HarvestersCamera("top", source, SystemClock())


def opened(device: str = MONO, *features: FeatureWrite, **settings: object) -> HarvestersCamera:
    camera = camera_on(device, *features, **settings)
    camera.open()
    return camera


@pytest.fixture
def camera() -> Iterator[HarvestersCamera]:
    camera = opened()
    yield camera
    camera.close()


def grabbed(camera: HarvestersCamera) -> Frame | FrameFault:
    item = camera.grab(PATIENCE_S)
    assert item is not None
    return item


def handles() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def pid(camera: HarvestersCamera) -> int:
    assert camera._process is not None
    return camera._process.pid


@needs_producer
def test_frames_come_whole_and_in_order() -> None:
    camera = opened(buffers=2 * FRAMES)  # however late we are, none of those that are looked at is without
    frames = [grabbed(camera) for _ in range(FRAMES)]
    torn = camera.stats().get("torn", 0)
    camera.close()
    assert [frame.frame_id for frame in frames] == list(range(FRAMES))
    for frame in frames:
        assert isinstance(frame, Frame), frame.detail
        assert frame.image.shape == (512, 512, 1)
        assert frame.first_line == 0
    assert torn == 0


@needs_producer
def test_features_are_written_in_their_order_and_a_line_camera_gets_coordinates() -> None:
    camera = opened(
        MONO,
        FeatureWrite(name="Width", value=256),
        FeatureWrite(name="Height", value=64),
        FeatureWrite(name="NotOfThisCamera", value=1, optional=True),
        scan="line",
    )
    blocks = [grabbed(camera) for _ in range(4)]
    camera.close()
    assert all(isinstance(block, Frame) and block.image.shape == (64, 256, 1) for block in blocks)
    assert [block.first_line for block in blocks] == [64 * block.frame_id for block in blocks]


@needs_producer
def test_a_colour_camera_gives_three_channels() -> None:
    camera = opened(COLOUR)
    frame = grabbed(camera)
    camera.close()
    assert isinstance(frame, Frame) and frame.image.shape == (572, 768, 3)


@needs_producer
@pytest.mark.parametrize(
    ("feature", "words"),
    [
        (FeatureWrite(name="Widht", value=8), r"feature Widht \(got 8\): .* no feature .*mean Width"),
        (
            FeatureWrite(name="Width", value=100_000),
            r"feature Width \(got 100000\): .* it takes 8 to 4096",
        ),
        (FeatureWrite(name="Width", value="wide"), r"feature Width \(got 'wide'\): it takes a whole number"),
        (
            FeatureWrite(name="DeviceModelName", value="x"),
            r"feature DeviceModelName \(got 'x'\): .*read-only",
        ),
        (
            FeatureWrite(name="PixelFormat", value="Nope"),
            r"feature PixelFormat \(got 'Nope'\): .* Mono8, ",
        ),
        (
            FeatureWrite(name="TriggerMode", value=True),
            r"feature TriggerMode \(got True\): .*its names",
        ),
    ],
)
def test_a_feature_that_cannot_be_is_named_with_value_and_remedy(feature: FeatureWrite, words: str) -> None:
    with pytest.raises(CameraMisconfigured, match=r"camera top: " + words):
        opened(MONO, feature)


def test_a_pixel_format_that_is_not_read_is_named_when_its_first_frame_comes() -> None:
    component = SimpleNamespace(data_format="Mono12Packed", height=2, width=2, data=np.zeros(6, np.uint8))
    buffer = SimpleNamespace(
        module=SimpleNamespace(frame_id=1, is_complete=lambda: True),
        payload=SimpleNamespace(components=[component]),
        timestamp_ns=5,
    )
    handle = Slots.allocate(1, 100)
    slots = Slots(handle, 1, 100)
    os.close(handle)
    with pytest.raises(
        CameraMisconfigured, match="PixelFormat is Mono12Packed, which is not read here; write"
    ):
        delivered(buffer, slots, queue.SimpleQueue(), 1, "top")
    slots.close()


@needs_producer
def test_a_producer_or_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.cti"
    broken.write_bytes(b"no library")
    for producer, words in ((tmp_path / "gone.cti", "does not exist"), (broken, "cannot be loaded")):
        camera = HarvestersCamera("top", HarvestersSource(producer=producer), SystemClock())
        with pytest.raises(CameraMisconfigured, match=f"camera top: source.producer {producer} {words}"):
            camera.open()
    with pytest.raises(CameraError, match=rf"source.device 'elsewhere' is not there .*{MONO}.*switch it on"):
        opened("elsewhere")
    with pytest.raises(CameraMisconfigured, match="fits 4 devices; set it to one of the serial numbers"):
        opened("")


@needs_producer
def test_a_process_that_dies_is_a_lost_camera_and_a_new_one_serves() -> None:
    camera = opened()
    grabbed(camera)
    os.kill(pid(camera), signal.SIGKILL)
    with pytest.raises(CameraError, match=r"camera top: the process of its producer .*started anew"):
        while True:
            grabbed(camera)
    camera.close()
    camera.open()
    assert grabbed(camera).frame_id == 0
    camera.close()


@pytest.mark.slow
@needs_producer
def test_a_frozen_process_is_silent_and_close_ends_it(camera: HarvestersCamera) -> None:
    grabbed(camera)
    process = pid(camera)
    os.kill(process, signal.SIGSTOP)
    eventually(lambda: camera.grab(0.3) is None, "nothing comes any more")
    with living() as closing:
        camera.close()
    assert closing.seconds < 5.0
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.slow
@needs_producer
def test_a_slow_reader_loses_frames_as_faults_and_none_is_torn() -> None:
    camera = opened(buffers=3)
    items: list[Frame | FrameFault] = []

    def loses_one() -> bool:
        time.sleep(0.2)
        items.append(grabbed(camera))
        return isinstance(items[-1], FrameFault)

    eventually(loses_one, "frames are lost")
    items += [grabbed(camera) for _ in range(60)]
    camera.close()
    assert [item.frame_id for item in items] == list(range(len(items)))
    lost = [item for item in items if isinstance(item, FrameFault)]
    assert "source.buffers" in lost[0].detail
    assert camera.stats().get("torn", 0) == 0


def test_ids_of_sixteen_bits_wrap_and_ids_that_were_left_out_are_counted() -> None:
    camera = camera_on()
    ids = [65_533, 65_535, 1, 2, 5, 70_000]
    assert [camera._missing_before(one) for one in ids] == [0, 1, 0, 0, 2, 69_994]


def test_a_slot_that_was_written_over_is_not_taken_for_the_picture() -> None:
    handle = Slots.allocate(2, 1000)
    writer, reader = Slots(handle, 2, 1000), Slots(handle, 2, 1000)
    os.close(handle)
    picture = np.arange(600, dtype=np.uint8).reshape(20, 30, 1)
    writer.write(1, 7, picture)
    read = reader.read(1, 7, (20, 30, 1))
    assert read is not None and np.array_equal(read, picture)
    writer.write(1, 9, picture)
    assert reader.read(1, 7, (20, 30, 1)) is None
    writer.close()
    reader.close()


@pytest.mark.slow
@needs_producer
def test_a_process_that_is_killed_again_and_again_is_followed_by_a_new_epoch_and_leaves_nothing() -> None:
    cameras: list[HarvestersCamera] = []

    def make() -> HarvestersCamera:
        cameras.append(camera_on())
        return cameras[-1]

    with watched_camera(make) as one:
        one.frames_reach(5)
        before = handles()
        for _ in range(4):
            os.kill(pid(cameras[-1]), signal.SIGKILL)
            one.reaches("lost")
            one.reaches("streaming")
        one.frames_go_on()
        eventually(lambda: handles() <= before, "no handle is left of the dead")
    items = [item for item in one.items if isinstance(item, Frame)]
    assert {item.epoch for item in items} == set(range(5))
    assert [item.frame_id for item in one.items] == list(range(len(one.items)))
    counts = one.supervisor.counts()
    assert (counts.reconnects, counts.losses, counts.driver.get("torn", 0)) == (4, 4, 0)
