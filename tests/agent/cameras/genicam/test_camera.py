"""What a GigE Vision camera sends arrives bit for bit, and what goes wrong on the way is accounted for.

Over real GVCP and GVSP on the loopback, against the simulated camera of tests/gige.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from agent.cameras.camera import CameraError
from agent.cameras.genicam.camera import GenicamCamera
from agent.clock import SystemClock
from agent.messages import Frame, FrameFault
from agent.settings.camera import FeatureWrite
from agent.track.windows import Web
from tests.gige.aravis import needs_aravis
from tests.gige.belt import TICKS_PER_LINE, Counts
from tests.gige.client import frames, opened, shows, source, until_quiet
from tests.gige.pixels import FORMATS
from tests.gige.process import SimulatedCamera
from tests.gige.webs import noise, shown

pytestmark = needs_aravis

WIDTH, LINES, HEIGHT = 512, 1024, 64
WEB = noise(WIDTH, LINES, 0)


@pytest.fixture(scope="module")
def simulated() -> Iterator[SimulatedCamera]:
    arguments = {"noise": f"{WIDTH}x{LINES}", "height": HEIGHT, "line_rate_hz": 6400}
    with SimulatedCamera(arguments) as camera:
        yield camera


def write(name: str, value: Any = None, *, optional: bool = False) -> FeatureWrite:
    return FeatureWrite(name=name, value=value, optional=optional)


def run_through(simulated: SimulatedCamera, **cues: Any) -> tuple[list[Frame | FrameFault], Counts, Counts]:
    """Some good blocks, the accident, some good blocks: what came, the counts before and after."""
    simulated.cue(blocks=0)
    with opened(source(simulated.address, ring_frames=256)) as camera:
        assert until_quiet(camera) == []
        before = simulated.cue(blocks=40, **cues)
        return until_quiet(camera), before, simulated.cue(blocks=None)


def lines(items: list[Frame | FrameFault]) -> int:
    return sum(len(item.image) + item.lines_lost for item in items if isinstance(item, Frame))


@pytest.mark.parametrize("name", [name for name in FORMATS if name.startswith("Mono")])
def test_every_mono_format_arrives_bit_for_bit(simulated: SimulatedCamera, name: str) -> None:
    bits = FORMATS[name][1]
    web = shown(WEB, bits)
    wanted = source(simulated.address, features=[write("Width", 256), write("PixelFormat", name)])
    with opened(wanted) as camera:
        got = frames(camera, 4)
    assert all(shows(frame, web) and frame.bit_depth == bits for frame in got)
    assert [frame.image.shape for frame in got] == [(HEIGHT, 256, 1)] * 4


@pytest.mark.parametrize("name", ["RGB8", "BayerRG8"])
def test_colour_arrives_as_red_green_blue(simulated: SimulatedCamera, name: str) -> None:
    features = [write("Width", WIDTH), write("PixelFormat", name)]
    with opened(source(simulated.address, features=features)) as camera:
        (frame,) = frames(camera, 1)
    assert frame.image.shape == (HEIGHT, WIDTH, 3)
    seen = shown(WEB, 8)[(frame.first_line + np.arange(HEIGHT)) % LINES]
    if name == "RGB8":
        assert np.array_equal(frame.image, np.stack([seen, 255 - seen, seen // 2], axis=2))
    else:  # where the sensor has a red, a green, a blue pixel, the picture has its value
        assert np.array_equal(frame.image[2:-2:2, 2:-2:2, 0], seen[2:-2:2, 2:-2:2])
        assert np.array_equal(frame.image[3:-2:2, 2:-2:2, 1], seen[3:-2:2, 2:-2:2])
        assert np.array_equal(frame.image[3:-2:2, 3:-2:2, 2], seen[3:-2:2, 3:-2:2])


@pytest.fixture
def mono(simulated: SimulatedCamera) -> SimulatedCamera:
    """As the camera was switched on, whatever a test before has set."""
    features = [write("Width", WIDTH), write("PixelFormat", "Mono8")]
    with opened(source(simulated.address, features=features)):
        pass
    simulated.cue(next_line=0)
    return simulated


@pytest.mark.slow
def test_chunks_say_line_encoder_and_input_lines_of_each_block(mono: SimulatedCamera) -> None:
    items, _, _ = run_through(mono)
    got = [item for item in items if isinstance(item, Frame)]
    assert len(got) == 40 and all(shows(frame, shown(WEB, 8)) for frame in got)
    assert {frame.line_status for frame in got} == {0b101}
    assert [frame.frame_id for frame in got] == list(range(40))
    assert np.diff([frame.first_line for frame in got]).tolist() == [HEIGHT] * 39
    encoders = [frame.encoder for frame in got if frame.encoder is not None]
    assert np.diff(encoders).tolist() == [HEIGHT * TICKS_PER_LINE] * 39
    assert np.diff([frame.captured_ns for frame in got]).min() > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cues", "lost"),
    [
        ({"drop_blocks": 3}, 3 * HEIGHT),
        ({"damage_blocks": 2}, 2 * HEIGHT),
        ({"skip_lines": 57}, 57),
        ({"short_lines": 20}, 0),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_lines_given_out_and_lines_lost_are_the_lines_sent(
    mono: SimulatedCamera, cues: dict[str, Any], lost: int
) -> None:
    mono.cue(blocks=0)
    with opened(source(mono.address, ring_frames=256)) as camera:
        before = mono.cue(blocks=5)
        items = until_quiet(camera)
        mono.cue(blocks=40, **cues)
        items += until_quiet(camera)
        after = mono.cue(blocks=None)
    assert all(isinstance(item, Frame) and shows(item, shown(WEB, 8)) for item in items)
    assert lines(items) == after.lines - before.lines
    assert sum(item.lines_lost for item in items) == lost


@pytest.mark.slow
def test_block_ids_wrap_without_a_loss(mono: SimulatedCamera) -> None:
    items, before, after = run_through(mono, next_block_id=65_520)
    assert [item.frame_id for item in items] == list(range(40))
    assert lines(items) == after.lines - before.lines and not any(item.lines_lost for item in items)


@pytest.mark.slow
def test_lost_packets_are_sent_again_and_a_block_with_too_many_of_them_is_accounted_for(
    mono: SimulatedCamera,
) -> None:
    mono.cue(blocks=0)
    with opened(source(mono.address, ring_frames=256, packet_size=1400)) as camera:
        before = mono.cue(blocks=5)
        items = until_quiet(camera)
        mono.cue(blocks=40, drop_packets=0.04)
        items += until_quiet(camera)
        mono.cue(blocks=5, drop_packets=0.0)
        items += until_quiet(camera)
        stream, stats = camera.stream(), camera.stats()
        after = mono.cue(blocks=None)
    assert all(isinstance(item, Frame) and shows(item, shown(WEB, 8)) for item in items)
    assert stream is not None
    assert after.packets_dropped > before.packets_dropped
    assert stats["blocks_missing"] + stats["blocks_incomplete"] == stream.statistics["n_failures"]
    assert stream.statistics["n_resent_packets"] > 0
    assert sum(item.lines_lost for item in items) == stream.statistics["n_failures"] * HEIGHT
    assert lines(items) == after.lines - before.lines


@pytest.mark.slow
def test_lines_keep_their_place_when_the_cameras_counter_wraps(mono: SimulatedCamera) -> None:
    items, _, _ = run_through(mono, next_line=(1 << 32) - 2 * HEIGHT)
    firsts = [item.first_line for item in items]
    assert firsts[0] == (1 << 32) - 2 * HEIGHT
    assert np.diff(firsts).tolist() == [HEIGHT] * 39


@pytest.mark.slow
def test_over_triggering_and_reversal_show_in_the_encoder_alone(mono: SimulatedCamera) -> None:
    over, before, after = run_through(mono, over_trigger_blocks=2)
    encoders = [item.encoder for item in over if item.encoder is not None]
    steps = np.diff(encoders) // (HEIGHT * TICKS_PER_LINE)
    assert steps.tolist() == [2, 2] + [1] * 37
    assert lines(over) == after.lines - before.lines
    back, before, after = run_through(mono, reverse=True, next_line=10)
    mono.cue(reverse=False)
    encoders = [item.encoder for item in back if item.encoder is not None]
    assert np.diff(encoders).tolist() == [-HEIGHT * TICKS_PER_LINE] * 39 and encoders[-1] < 0
    assert lines(back) == after.lines - before.lines


@pytest.mark.slow
def test_windows_of_a_web_keep_every_line_in_its_place_and_mark_the_lost_ones(mono: SimulatedCamera) -> None:
    mono.cue(blocks=0)
    web, windows = Web(100), []
    with opened(source(mono.address, ring_frames=256)) as camera:
        mono.cue(blocks=5)
        items = until_quiet(camera)
        for cues in ({"drop_blocks": 2}, {"skip_lines": 30}, {"damage_blocks": 1}):
            mono.cue(blocks=10, **cues)
            items += until_quiet(camera)
        mono.cue(blocks=None)
    for item in items:
        windows += web.push(item)
    lost = 3 * HEIGHT + 30
    assert sum(window.lines_lost for window in windows) == web.lines_lost == lost
    for window in windows:
        if isinstance(window, Frame):
            valid = np.ones(100, np.bool_) if window.valid is None else window.valid
            rows = shown(WEB, 8)[(window.first_line + np.arange(100)) % LINES]
            assert np.array_equal(window.image[valid, :, 0], rows[valid])


@pytest.mark.slow
def test_each_lost_frame_of_an_area_camera_is_a_fault_in_its_place(mono: SimulatedCamera) -> None:
    mono.cue(blocks=0)
    plain = {"line_counter_chunk": None, "encoder_chunk": None, "line_status_chunk": None}
    with opened(source(mono.address, scan="area", ring_frames=256, **plain)) as camera:
        mono.cue(blocks=3)
        items = until_quiet(camera)
        mono.cue(blocks=8, drop_blocks=2)
        items += until_quiet(camera)
        mono.cue(blocks=8, damage_blocks=1)
        items += until_quiet(camera)
        mono.cue(blocks=30, drop_blocks=20)
        items += until_quiet(camera)
        mono.cue(blocks=None)
    faults = [item for item in items if isinstance(item, FrameFault)]
    assert [fault.frame_id for fault in faults] == [3, 4, 11, *range(19, 36)]
    assert "frame 11 came incomplete (timeout)" in faults[2].detail
    assert "frames 35 to 38 did not arrive" in faults[-1].detail
    assert [item.frame_id for item in items] == [*range(36), *range(39, 49)]
    assert {item.first_line for item in items} == {0}


def test_pictures_that_are_kept_do_not_change_and_do_not_stop_the_camera(mono: SimulatedCamera) -> None:
    with opened(source(mono.address, ring_frames=8)) as camera:
        kept = frames(camera, 40)
        copies = [frame.image.copy() for frame in kept]
        frames(camera, 40)
        stream = camera.stream()
    assert all(np.array_equal(frame.image, copy) for frame, copy in zip(kept, copies, strict=True))
    assert all(shows(frame, shown(WEB, 8)) for frame in kept)
    assert stream is not None and stream.statistics["n_failures"] == 0


@pytest.mark.slow
def test_other_traffic_of_the_interface_is_never_taken_for_the_cameras(mono: SimulatedCamera) -> None:
    stop = threading.Event()

    def chatter() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", 0))
            while not stop.wait(0.001):
                for _ in range(30):
                    one.sendto(os.urandom(600), one.getsockname())

    chatting = threading.Thread(target=chatter)
    chatting.start()
    try:
        for _ in range(8):
            with opened(source(mono.address, scan="area")) as camera:
                assert all(frame.image.any() for frame in frames(camera, 4))
    finally:
        stop.set()
        chatting.join()


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ([write("Brightness", 3)], "feature Brightness = 3: the camera has no such feature"),
        ([write("WidthMax", 3)], "feature WidthMax = 3: is read only"),
        ([write("Width", 5000)], "feature Width = 5000: is outside 16 to 512"),
        ([write("PixelFormat", "Mono99")], "PixelFormat = 'Mono99': is not one of Mono8, "),
        ([write("PixelFormat", "YUV422_8")], "YUV422_8 is not supported; write PixelFormat"),
        ([write("ChunkModeActive", False)], "come without chunks; write ChunkModeActive = true"),
    ],
)
def test_a_feature_that_cannot_be_had_is_an_error_that_names_camera_feature_and_remedy(
    mono: SimulatedCamera, features: list[FeatureWrite], words: str
) -> None:
    with pytest.raises(CameraError) as raised, opened(source(mono.address, features=features)) as camera:
        frames(camera, 1)
    assert words in str(raised.value) and str(raised.value).startswith("top")


def test_features_are_written_in_order_and_optional_ones_may_be_absent(mono: SimulatedCamera) -> None:
    features = [
        write("VendorSpecial", 1, optional=True),
        write("DeviceUserID", "cell 3"),
        write("ExposureTime", 12.5),
        write("Height", 32),
        write("Height", 16),
        write("EncoderReset"),
    ]
    with opened(source(mono.address, features=features)) as camera:
        assert len(frames(camera, 1)[0].image) == 16
    with opened(source(mono.address, features=[write("Height", HEIGHT)])):
        pass


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"line_counter_chunk": "ChunkNope"}, "chunk ChunkNope: the camera has no such chunk"),
        ({"packet_size": 65_000}, None),
    ],
)
def test_chunks_and_packet_sizes_are_checked_at_the_start(
    mono: SimulatedCamera, more: dict[str, Any], words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if words is None:
        words = "packets of 65000 bytes do not pass interface eth7, whose MTU is 1500"
        monkeypatch.setattr("agent.cameras.genicam.sockets.mtu_towards", lambda _: ("eth7", 1500))
    with pytest.raises(CameraError, match=words), opened(source(mono.address, **more)):
        pass


@pytest.mark.slow
def test_an_address_without_a_camera_is_an_error_that_names_it() -> None:
    with pytest.raises(CameraError, match=r"top at 127\.250\.0\.9.*check that it is on"):
        GenicamCamera("top", source("127.250.0.9"), SystemClock()).open()


def test_a_camera_that_another_client_has_is_told_from_one_that_is_away(mono: SimulatedCamera) -> None:
    with opened(source(mono.address)) as first:
        second = GenicamCamera("top", source(mono.address), SystemClock())
        with pytest.raises(CameraError, match="in use by another client; close the other program, or retry"):
            second.open()
        assert len(frames(first, 3)) == 3
