"""A live source that stalls or dies is lost at its first failed read, and fresh once it is opened again.

The network cases run against real sockets on the loopback; stalls are told by a reader that obeys
the `Reader` protocol, because OpenCV has no way to be stalled on purpose.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from cv2.typing import MatLike

from agent.cameras.camera import CameraError
from agent.cameras.formats.described import Damaged
from agent.cameras.video.stream import StreamCamera, is_live
from agent.clock import ManualClock, SystemClock
from agent.messages import Frame, FrameFault
from agent.settings.camera import VideoSource

PATIENCE_S = 60.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def grabbed(camera: StreamCamera) -> Frame:
    frame = camera.grab(PATIENCE_S)
    assert frame is not None, "no frame came"
    return frame


def values_until_lost(camera: StreamCamera) -> tuple[list[int], str]:
    values = []
    while True:
        try:
            values.append(int(grabbed(camera).image[0, 0, 0]))
        except CameraError as error:
            return values, str(error)


class ScriptedReader:
    """Gives its pictures, then fails every read, as OpenCV does; `stalls` tells how long each read takes."""

    def __init__(self, values: list[int], clock: ManualClock, stalls: dict[int, float] | None = None) -> None:
        self.values = values
        self.clock = clock
        self.stalls = stalls or {}
        self.reads = 0
        self.released = False

    def read(self) -> tuple[bool, MatLike]:
        assert not self.released
        index = self.reads
        self.reads += 1
        self.clock.advance(self.stalls.get(index, 0.001))
        if index >= len(self.values):
            return False, np.empty(0, np.uint8)
        return True, np.full((2, 2, 3), self.values[index], np.uint8)

    def release(self) -> None:
        self.released = True


def camera_on(*readers: ScriptedReader, clock: ManualClock, rate_hz: float = 0.0) -> StreamCamera:
    """A camera that connects to the given readers one after the other."""
    waiting = list(readers)
    source = VideoSource(
        url="rtsp://user:secret@camera", rate_hz=rate_hz, open_timeout_s=1.0, read_timeout_s=1.0
    )
    camera = StreamCamera("top", source, clock, lambda _source: waiting.pop(0))
    camera.open()
    return camera


def test_the_first_failed_read_loses_the_camera_and_opening_again_goes_on_counting() -> None:
    clock = ManualClock()
    first, second = ScriptedReader([1, 2], clock), ScriptedReader([3], clock)
    camera = camera_on(first, second, clock=clock)
    assert [(f.frame_id, int(f.image[0, 0, 0])) for f in (grabbed(camera), grabbed(camera))] == [
        (0, 1),
        (1, 2),
    ]
    with pytest.raises(CameraError, match=r"rtsp://\*\*\*@camera: gives no more pictures; check"):
        camera.grab(PATIENCE_S)
    assert first.reads == 3 and first.released
    camera.close()
    camera.open()
    assert grabbed(camera).frame_id == 2
    camera.close()
    until(lambda: second.released)


def test_a_picture_that_came_damaged_is_a_fault_and_the_connection_stays() -> None:
    class Torn(ScriptedReader):
        def read(self) -> tuple[bool, MatLike]:
            found, picture = super().read()
            if self.reads == 2:
                raise Damaged("its end is missing")
            return found, picture

    camera = camera_on(Torn([1, 2, 3], ManualClock()), clock=ManualClock())
    items = [camera.grab(PATIENCE_S) for _ in range(3)]
    assert [item.frame_id for item in items if item] == [0, 1, 2]
    assert isinstance(items[1], FrameFault) and items[1].reason == "camera_error"
    assert "rtsp://***@camera: a picture came damaged (its end is missing)" in items[1].detail


def test_a_picture_that_comes_after_a_stall_is_not_shown_as_now() -> None:
    clock = ManualClock()
    stalled = ScriptedReader([1, 99, 99], clock, stalls={1: 30.0})
    values, why = values_until_lost(camera_on(stalled, clock=clock))
    assert values == [1] and "stalled for more than 1 s" in why
    assert stalled.reads == 2


def test_pictures_that_pile_up_behind_a_busy_consumer_are_dropped_with_the_connection() -> None:
    clock = ManualClock()
    slow = ScriptedReader([1, 2, 99], clock)
    camera = camera_on(slow, clock=clock)
    until(lambda: slow.reads == 2)  # one lies ready, one is in hand
    clock.advance(5.0)
    values, _ = values_until_lost(camera)
    assert values in ([1, 2], [1])
    assert slow.reads == 2 and slow.released


def test_a_frame_carries_the_time_it_was_read_and_not_the_time_it_was_taken() -> None:
    clock = ManualClock()
    reader = ScriptedReader([1, 2], clock)
    camera = camera_on(reader, clock=clock)
    until(lambda: reader.reads == 2)
    clock.advance(0.5)
    assert grabbed(camera).captured_ns == 1_000_000
    camera.close()


def test_the_rate_is_a_ceiling() -> None:
    clock = ManualClock()
    camera = camera_on(ScriptedReader(list(range(80)), clock), clock=clock, rate_hz=100.0)
    values, _ = values_until_lost(camera)
    assert values == list(range(0, 80, 10))
    assert camera.stats() == {"over_rate": 72}


def test_nothing_within_the_timeout_is_none() -> None:
    class Waiting(ScriptedReader):
        go_on = threading.Event()

        def read(self) -> tuple[bool, MatLike]:
            assert self.go_on.wait(PATIENCE_S)
            return super().read()

    clock = ManualClock()
    reader = Waiting([7], clock)
    camera = camera_on(reader, clock=clock)
    assert camera.grab(0.0) is None
    reader.go_on.set()
    assert grabbed(camera).image[0, 0, 0] == 7
    camera.close()


def test_a_failure_inside_opencv_is_a_lost_camera() -> None:
    class Breaking(ScriptedReader):
        def read(self) -> tuple[bool, MatLike]:
            raise cv2.error("driver bug")

    clock = ManualClock()
    values, why = values_until_lost(camera_on(Breaking([], clock), clock=clock))
    assert values == [] and "driver bug" in why


class MjpegServer:
    """An HTTP camera: sends `burst` pictures to each client and then hangs up."""

    def __init__(self, burst: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=frame")
                self.end_headers()
                for number in range(burst):
                    coded = cv2.imencode(".jpg", np.full((48, 64, 3), (0, 0, number * 20), np.uint8))[
                        1
                    ].tobytes()
                    head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(coded)
                    self.wfile.write(head + coded + b"\r\n")

            def log_message(self, format: str, *args: object) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/video"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[MjpegServer]:
    server = MjpegServer(burst=8)
    yield server
    server.close()


def test_a_real_network_camera_that_hangs_up_is_lost_and_opens_again(server: MjpegServer) -> None:
    camera = StreamCamera("top", VideoSource(url=server.url), SystemClock())
    for session in range(2):
        camera.open()
        frames = [grabbed(camera) for _ in range(8)]
        assert [frame.frame_id for frame in frames] == list(range(8 * session, 8 * session + 8))
        assert frames[0].image.shape == (48, 64, 3)
        red, green, blue = frames[7].image.reshape(-1, 3).mean(axis=0)
        assert red == pytest.approx(140, abs=8) and max(green, blue) < 8
        with pytest.raises(CameraError, match="gives no more pictures"):
            grabbed(camera)
        camera.close()


def test_a_silent_listener_is_given_up_after_the_open_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"rtsp://operator:secret@127.0.0.1:{listener.getsockname()[1]}/stream"
        camera = StreamCamera("top", VideoSource(url=url, open_timeout_s=0.5), SystemClock())
        with pytest.raises(CameraError, match=r"rtsp://\*\*\*@127.* no video within 0\.5 s; check") as caught:
            camera.open()
        assert "secret" not in str(caught.value)


def test_a_missing_device_is_an_error_at_open_with_the_remedy() -> None:
    camera = StreamCamera("top", VideoSource(url="/dev/video4711"), SystemClock())
    with pytest.raises(CameraError, match=r"/dev/video4711: .*group video"):
        camera.open()


def test_addresses_and_devices_are_live_and_paths_are_not() -> None:
    assert [is_live(url) for url in ("rtsp://c/1", "http://c/v", "/dev/video0")] == [True] * 3
    assert [is_live(url) for url in ("clip.avi", "/data/clip.mp4", "dev/clip.avi")] == [False] * 3
