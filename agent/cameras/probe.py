"""Look for cameras, and try one: for the command line and for whoever stands at the line with a laptop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agent.address import masked
from agent.cameras.camera import Camera, CameraError, EndOfStream
from agent.cameras.genicam.camera import GenicamCamera, Stream
from agent.cameras.genicam.library import load
from agent.cameras.images import SUFFIXES
from agent.cameras.video.stream import is_live
from agent.clock import Clock
from agent.messages import Frame
from agent.settings.camera import FolderSource, GenicamSource, Source, VideoSource

TRIED_FRAMES = 10
PATIENCE_S = 10.0  # for all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A camera that answered; `device_id` can stand as source.address, and so can the address."""

    device_id: str
    address: str
    vendor: str
    model: str
    serial: str
    protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a camera gave."""

    frames: int
    faults: int
    lines: int
    lines_lost: int
    seconds: float  # from the first frame to the last
    shape: tuple[int, ...] | None  # of the first
    bit_depth: int
    stream: Stream | None  # of GenICam cameras

    @property
    def rate_hz(self) -> float | None:
        return (self.frames - 1) / self.seconds if self.frames > 1 and self.seconds > 0 else None

    @property
    def is_good(self) -> bool:
        return self.frames == TRIED_FRAMES and not self.faults and not self.lines_lost


def discover() -> list[Found]:
    """Every GigE Vision and USB3 Vision camera that answers within a second or so, by broadcast.

    Raises CameraError where Aravis is missing.
    """
    library = load()
    library.arv_update_device_list()

    def text(name: str, place: int) -> str:
        value = getattr(library, f"arv_get_device_{name}")(place)
        return "" if value is None else value.decode(errors="replace")

    return [
        Found(
            device_id=text("id", place),
            address=text("address", place),
            vendor=text("vendor", place),
            model=text("model", place),
            serial=text("serial_nbr", place),
            protocol=text("protocol", place),
        )
        for place in range(library.arv_get_n_devices())
    ]


def source_of(text: str) -> Source:
    """What a command line means: an address or a device file, a folder or file, or a GenICam camera."""
    path = Path(text)
    if is_live(text):
        return VideoSource(url=text)
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        return FolderSource(path=path)
    if path.is_file():
        return VideoSource(url=text)
    try:
        return GenicamSource(address=text)
    except ValidationError as error:
        raise CameraError(
            f"{masked(text)}: no file or folder of that name, and no camera; give rtsp://..., /dev/videoN,"
            " a path, an IPv4 address or Vendor-Model-Serial"
        ) from error


def try_camera(camera: Camera, clock: Clock) -> Tried:
    """Open, grab up to TRIED_FRAMES, close; raises CameraError when it cannot be opened or is lost."""
    taken: list[Frame] = []
    faults = 0
    camera.open()
    try:
        end_ns = clock.monotonic_ns() + round(PATIENCE_S * 1e9)
        while len(taken) + faults < TRIED_FRAMES and clock.monotonic_ns() < end_ns:
            item = camera.grab(0.5)
            if isinstance(item, Frame):
                taken.append(item)
            elif item is not None:
                faults += 1
        stream = camera.stream() if isinstance(camera, GenicamCamera) else None
    except EndOfStream:
        stream = None
    finally:
        camera.close()
    return Tried(
        frames=len(taken),
        faults=faults,
        lines=sum(len(frame.image) for frame in taken),
        lines_lost=sum(frame.lines_lost for frame in taken),
        seconds=(taken[-1].captured_ns - taken[0].captured_ns) / 1e9 if taken else 0.0,
        shape=taken[0].image.shape if taken else None,
        bit_depth=taken[0].bit_depth if taken else 8,
        stream=stream,
    )
