"""A real RTSP server that is frozen, killed or guarded: the camera comes back, or says what is wrong."""

from __future__ import annotations

import hashlib
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from agent.cameras.camera import CameraError, CameraMisconfigured
from agent.cameras.video.rtsp_probe import describe
from agent.cameras.video.stream import StreamCamera
from agent.clock import SystemClock
from agent.messages import Frame
from agent.settings.camera import VideoSource
from tests.agent.cameras.scripted import eventually
from tests.agent.cameras.watched import Watched, watched_camera

needs_server = pytest.mark.skipif(
    find_spec("aio_rtsp_toolkit") is None, reason="needs aio-rtsp-toolkit[server]"
)
CLIP_FRAMES = 600


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 24 s of H.264 that grow brighter."""
    av = pytest.importorskip("av")
    folder = tmp_path_factory.mktemp("clips")
    with av.open(str(folder / "clip.mp4"), "w") as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(25), options={"g": "10", "preset": "ultrafast"}
        )
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(CLIP_FRAMES):
            picture = np.full((96, 160, 3), number % 250, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return folder


class Server:
    """aio-rtsp-toolkit in a process of its own, on ports that stay the same."""

    def __init__(self, clips: Path) -> None:
        self.clips = clips
        self.port, self.control_port = free_port(), free_port()
        self.url = f"rtsp://127.0.0.1:{self.port}/clip.mp4"

    def start(self) -> None:
        command = Path(sys.executable).parent / "rtsp-server"
        ports = ["-p", str(self.port), "-cp", str(self.control_port)]
        self.process = subprocess.Popen(
            [sys.executable, command, "-d", self.clips, "-H", "127.0.0.1", *ports],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self._answers, "the server is up")

    def _answers(self) -> bool:
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}"
        return describe(self.url, 5.0) == 200

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def server(clips: Path) -> Iterator[Server]:
    server = Server(clips)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def streaming(server: Server) -> Watched:
    source = VideoSource(url=server.url, open_timeout_s=3.0, read_timeout_s=1.0)
    return watched_camera(lambda: StreamCamera("top", source, SystemClock()))


def newest(watched: Watched) -> Frame:
    item = watched.items[-1]
    assert isinstance(item, Frame)
    return item


@pytest.mark.slow
@needs_server
def test_a_server_that_freezes_and_one_that_is_killed_are_followed_by_fresh_frames(server: Server) -> None:
    with streaming(server) as one:
        one.frames_reach(10)
        assert newest(one).image.shape == (96, 160, 3)
        server.process.send_signal(signal.SIGSTOP)
        one.reaches("lost", "stalled")
        stopped = len(one.items)
        time.sleep(1.0)
        assert len(one.items) == stopped, "nothing can be fresh while the server is frozen"
        server.process.send_signal(signal.SIGCONT)
        one.frames_go_on()
        assert newest(one).epoch == 1
        server.kill()
        one.reaches("lost", "stalled")
        server.start()
        one.frames_go_on()
    frames = [item for item in one.items if isinstance(item, Frame)]
    assert [frame.frame_id for frame in frames] == list(range(len(frames)))
    assert {frame.epoch for frame in frames} == {0, 1, 2}


@needs_server
def test_a_path_that_the_server_does_not_have_is_told(server: Server) -> None:
    source = VideoSource(url=server.url.replace("clip", "other"), open_timeout_s=30.0)
    with pytest.raises(CameraError, match=r"/\*\*\*: answers 4\d\d; check the path in source\.url"):
        StreamCamera("top", source, SystemClock()).open()


class Guard(socketserver.StreamRequestHandler):
    """Answers 401 to everybody but operator with the password secret, by Digest."""

    def handle(self) -> None:
        while request := self._request():
            method, url = request.split()[:2]
            number = re.search(r"(?i)cseq: *(\d+)", request)
            given = dict(re.findall(r'(\w+)="([^"]*)"', request))
            right = hashed(f"{hashed('operator:plant:secret')}:n0nce:{hashed(f'{method}:{url}')}")
            status = "200 OK" if given.get("response") == right else "401 Unauthorized"
            challenge = (
                'WWW-Authenticate: Digest realm="plant", nonce="n0nce"\r\n' if status[0] == "4" else ""
            )
            head = f"RTSP/1.0 {status}\r\nCSeq: {number[1] if number else 0}\r\n{challenge}\r\n"
            self.wfile.write(head.encode())

    def _request(self) -> str:
        lines = []
        while line := self.rfile.readline().decode().strip():
            lines.append(line)
        return "\n".join(lines)


def hashed(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@pytest.fixture
def guarded() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Guard) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}/live"
        server.shutdown()
        thread.join()


def test_a_wrong_password_is_named_with_its_remedy_and_not_told(guarded: str) -> None:
    source = VideoSource(url=f"rtsp://operator:wr0ng@{guarded}", open_timeout_s=30.0)
    with pytest.raises(CameraMisconfigured, match=r"refused user or password \(401\); set them") as caught:
        StreamCamera("top", source, SystemClock()).open()
    assert "wr0ng" not in str(caught.value)


def test_the_probe_knows_a_right_password_a_wrong_one_and_silence(guarded: str) -> None:
    assert describe(f"rtsp://operator:secret@{guarded}", 60.0) == 200
    assert describe(f"rtsp://operator:wr0ng@{guarded}", 60.0) == 401
    assert describe(f"rtsp://{guarded}", 60.0) == 401
    assert describe(f"rtsp://127.0.0.1:{free_port()}/live", 0.5) is None
