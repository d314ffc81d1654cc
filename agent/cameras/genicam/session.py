"""One connection to a camera, from open to close: Aravis in the order in which it wants to be called."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from agent.cameras.camera import CameraError, CameraInUse, CameraMisconfigured
from agent.cameras.genicam import sockets
from agent.cameras.genicam.chunks import Chunks
from agent.cameras.genicam.features import write_features
from agent.cameras.genicam.library import AravisError, ControlLost, Library, load
from agent.cameras.genicam.pixels import FORMATS, PixelFormat
from agent.cameras.genicam.ring import Ring
from agent.settings.camera import FeatureWrite, GenicamSource

log = structlog.get_logger()

SUCCESS = 0
STATUS = {
    1: "cleared",
    2: "timeout",
    3: "missing packets",
    4: "wrong packet id",
    5: "size mismatch",
    6: "filling",
    7: "aborted",
    8: "payload not supported",
}
PACKET_SOCKET_DISABLED = 1
SETTLED_S, SETTLED_AT_LAST_S = 0.05, 1.0
REMEDY_PRESENCE = "check that it is on and connected, and source.address"
REMEDY_IN_USE = "close the other program, or retry after its heartbeat has expired (3 s as a rule)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What one buffer brought; counters are as the camera gave them."""

    block_id: int
    image: Any  # (lines, width, channels) uint8 or uint16; None when the block is incomplete
    bit_depth: int
    problem: str  # why there is no image
    device_ns: int
    utc_ns: int  # when its first packet came, by the host's wall clock
    counter: int | None
    encoder: int | None
    line_status: int | None


def open_session(camera: str, source: GenicamSource) -> Session:
    """Connect, write the features, and start; raises CameraError with cause and remedy."""
    library = load()
    owned: list[int] = []
    try:
        return _open(library, camera, source, owned)
    except BaseException as error:
        for handle in reversed(owned):
            library.g_object_unref(handle)
        if isinstance(error, AravisError):
            raise _explained(camera, source.address, error) from error
        raise


def _open(library: Library, camera: str, source: GenicamSource, owned: list[int]) -> Session:
    handle = library.arv_camera_new(source.address.encode())
    owned.append(handle)
    device = library.arv_camera_get_device(handle)
    is_gige = bool(library.arv_camera_is_gv_device(handle))
    if is_gige and not library.arv_gv_device_is_controller(device):
        library.arv_gv_device_take_control(device)  # says why, where opening did not
    for name in write_features(library, device, f"{camera} at {source.address}", source.features):
        log.info("feature_absent", camera=camera, feature=name)
    path = _prepare_network(library, camera, source, handle) if is_gige else None
    pixel_format = _known(library, camera, handle)
    chunks = Chunks.create(library, camera, source, handle, device)
    if chunks is not None:
        owned.append(chunks.parser)
    stream = library.arv_camera_create_stream(handle, None, None)
    owned.append(stream)
    if is_gige:
        library.set_socket_buffer(stream, sockets.UDP_BUFFER_BYTES)
    ring = Ring(source.ring_frames, library.arv_camera_get_payload(handle))
    session = Session(
        library=library,
        name=f"{camera} at {source.address}",
        handle=handle,
        device=device,
        stream=stream,
        ring=ring,
        chunks=chunks,
        socket_path=path,
        pixel_format=pixel_format,
        is_lost=_controlled(library, device) if is_gige else _signalled(library, device),
    )
    session.start()
    return session


def _controlled(library: Library, device: int) -> Callable[[], bool]:
    """Whether a GigE camera is ours no more, asked of Aravis.

    Not by its signal: that comes in the heartbeat's thread, which would wait here for the interpreter's lock
    with a reference to the device. Were that the last one, the thread would have to join itself: an abort.
    """
    return lambda: not library.arv_gv_device_is_controller(device)


def _signalled(library: Library, device: int) -> Callable[[], bool]:
    """Whether a USB camera is ours no more."""
    lost = threading.Event()
    on_lost = ControlLost(lambda _device, _data: lost.set())
    pointer = ctypes.cast(on_lost, ctypes.c_void_p)
    library.g_signal_connect_data(device, b"control-lost", pointer, None, None, 0)

    def is_lost(keep: Any = on_lost) -> bool:  # the callback must live as long as the device
        return lost.is_set()

    return is_lost


class Session:
    """A running acquisition; `take` is for one thread, `close` may come from any."""

    def __init__(
        self,
        *,
        library: Library,
        name: str,
        handle: int,
        device: int,
        stream: int,
        ring: Ring,
        chunks: Chunks | None,
        socket_path: sockets.SocketPath | None,
        pixel_format: PixelFormat,
        is_lost: Callable[[], bool],
    ) -> None:
        self.name = name
        self.socket_path = socket_path
        self.pixel_format = pixel_format
        self._library = library
        self._handle = handle
        self._device = device
        self._stream = stream
        self._ring = ring
        self._chunks = chunks
        self._is_lost = is_lost
        self._buffers: list[int] = []
        self._slots: dict[int, int] = {}  # by buffer
        self._held: set[int] = set()  # buffers that are ours, not the stream's
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # nodes of the description know no threads; a grab does not wait
        self._closed = False

    def start(self) -> None:
        """Give all slots to the stream and start the acquisition; raises AravisError."""
        self._settle()
        for slot in range(len(self._ring)):
            buffer = self._library.arv_buffer_new(self._ring.slot_bytes, self._ring.address(slot))
            self._buffers.append(buffer)
            self._slots[buffer] = slot
            self._held.add(buffer)
            self._give(buffer)
        self._library.arv_camera_start_acquisition(self._handle)

    def take(self, timeout_s: float) -> Block | None:
        """The next block, None when there was none in time; raises CameraError once control is lost."""
        with self._lock:
            if self._closed:
                raise CameraError(f"{self.name}: is closed; open it first")
            for slot in self._ring.returned():
                self._give(self._buffers[slot])
            if self._is_lost():
                raise CameraError(f"{self.name}: does not answer any more; {REMEDY_PRESENCE}")
            buffer = self._library.arv_stream_timeout_pop_buffer(self._stream, round(timeout_s * 1e6))
            if not buffer:
                return None
            self._held.add(buffer)
            return self._read(buffer)

    def write(self, features: Sequence[FeatureWrite]) -> None:
        """Between grabs or during one, from any thread; raises CameraError."""
        with self._writing:
            if self._closed or self._is_lost():
                raise CameraError(f"{self.name}: does not answer any more; {REMEDY_PRESENCE}")
            try:
                write_features(self._library, self._device, self.name, features)
            except AravisError as error:
                raise CameraError(f"{self.name}: does not answer ({error}); {REMEDY_PRESENCE}") from error

    def statistics(self) -> dict[str, int]:
        """Aravis' own counters by their names, such as n_resent_packets and n_underruns."""
        with self._lock:
            return {} if self._closed else self._statistics()

    def close(self) -> None:
        """Stop and let go; takes up to 5 s when the camera does not answer."""
        with self._lock, self._writing:
            if self._closed:
                return
            self._closed = True
            log.info("genicam_stream", camera=self.name, copied=self._ring.copied, **self._statistics())
            if not self._is_lost():
                try:
                    self._library.arv_camera_stop_acquisition(self._handle)
                except AravisError as error:
                    log.debug("stop_not_acknowledged", camera=self.name, error=str(error))
            parser = [] if self._chunks is None else [self._chunks.parser]
            for handle in (self._stream, *self._held, *parser, self._handle):
                self._library.g_object_unref(handle)

    def _settle(self) -> None:
        """Let the stream drop what it caught of other traffic before it has memory to write it to.

        Aravis 0.8 opens its packet socket before it sets the filter: whatever passes the interface in
        between is read as if the camera had sent it, and would spoil the first blocks.
        """
        received, began_s = -1, time.monotonic()
        quiet_since_s = now_s = began_s
        while now_s - quiet_since_s < SETTLED_S and now_s - began_s < SETTLED_AT_LAST_S:
            before, received = received, self._statistics().get("n_received_packets", 0)
            time.sleep(SETTLED_S / 5)
            now_s = time.monotonic()
            if received != before:
                quiet_since_s = now_s

    def _give(self, buffer: int) -> None:
        """Let the stream fill a buffer again."""
        self._held.remove(buffer)
        self._library.arv_stream_push_buffer(self._stream, buffer)

    def _statistics(self) -> dict[str, int]:
        library, stream = self._library, self._stream
        return {
            library.arv_stream_get_info_name(stream, place).decode(): library.arv_stream_get_info_uint64(
                stream, place
            )
            for place in range(library.arv_stream_get_n_infos(stream))
        }

    def _read(self, buffer: int) -> Block:
        library = self._library
        status = library.arv_buffer_get_status(buffer)
        block_id = library.arv_buffer_get_frame_id(buffer)
        device_ns = library.arv_buffer_get_timestamp(buffer)
        utc_ns = library.arv_buffer_get_system_timestamp(buffer)
        image, bit_depth = None, 8
        counter = encoder = line_status = None
        if status == SUCCESS:
            if self._chunks is not None:
                counter, encoder, line_status = self._chunks.read(self.name, buffer)
            image, bit_depth = self._image(buffer)
        else:  # accessors of the image would be wrong, and what lies in memory has holes
            self._give(buffer)
        return Block(
            block_id=block_id,
            image=image,
            bit_depth=bit_depth,
            problem=STATUS.get(status, ""),
            device_ns=device_ns,
            utc_ns=utc_ns,
            counter=counter,
            encoder=encoder,
            line_status=line_status,
        )

    def _image(self, buffer: int) -> tuple[Any, int]:
        """The picture, and its slot lent or given back; raises CameraError for another pixel format."""
        library, slot = self._library, self._slots[buffer]
        code = library.arv_buffer_get_image_pixel_format(buffer)
        known = FORMATS.get(code)
        if known is None:
            raise CameraMisconfigured(_unknown_format(self.name, f"0x{code:08X}"))
        lines = library.arv_buffer_get_image_height(buffer)
        width = library.arv_buffer_get_image_width(buffer)
        size_bytes = known.size_bytes(lines, width)
        if known.is_view:
            return known.decode(self._ring.lend(slot, size_bytes), lines, width), known.bit_depth
        image = known.decode(self._ring.look(slot, size_bytes), lines, width)
        self._give(buffer)
        return image, known.bit_depth


def _prepare_network(library: Library, camera: str, source: GenicamSource, handle: int) -> sockets.SocketPath:
    """Packet size and socket, before the stream is made; raises CameraError for a size that cannot pass."""
    path = sockets.choose(
        may_open_packet_socket=sockets.may_open_packet_socket(), rmem_max_bytes=sockets.rmem_max_bytes()
    )
    if path.kind == "udp":
        library.arv_camera_gv_set_stream_options(handle, PACKET_SOCKET_DISABLED)
    if source.packet_size is not None:
        library.arv_camera_gv_set_packet_size(handle, source.packet_size)
    size = library.arv_camera_gv_get_packet_size(handle)
    way = sockets.mtu_towards(source.address)
    if way is not None and size > way[1]:
        raise CameraMisconfigured(
            f"{camera} at {source.address}: packets of {size} bytes do not pass interface {way[0]}, whose MTU"
            f" is {way[1]}; set source.packet_size to {way[1]} or less, or raise the MTU on the whole way"
        )
    if source.packet_size is not None and size != source.packet_size:
        raise CameraMisconfigured(
            f"{camera} at {source.address}: takes packets of {size} bytes, not of {source.packet_size};"
            f" set source.packet_size to {size}"
        )
    log.info("genicam_socket", camera=camera, socket=path.kind, packet_size=size)
    if path.warning is not None:
        log.warning("genicam_socket_buffer", camera=camera, problem=path.warning)
    return path


def _known(library: Library, camera: str, handle: int) -> PixelFormat:
    known = FORMATS.get(library.arv_camera_get_pixel_format(handle))
    if known is None:
        name = library.arv_camera_get_pixel_format_as_string(handle) or b"unknown"
        raise CameraMisconfigured(_unknown_format(camera, name.decode()))
    return known


def _unknown_format(camera: str, name: str) -> str:
    names = ", ".join(one.name for one in FORMATS.values())
    return f"{camera}: pixel format {name} is not supported; write PixelFormat in source.features: {names}"


def _explained(camera: str, address: str, error: AravisError) -> CameraError:
    place = f"{camera} at {address}"
    if "access-denied" in str(error):
        return CameraInUse(f"{place}: the camera is in use by another client; {REMEDY_IN_USE}")
    said = f"does not answer ({error})" if error.unanswered else str(error)
    return CameraError(f"{place}: {said}; {REMEDY_PRESENCE}")
