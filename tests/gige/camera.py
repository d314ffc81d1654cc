"""A GigE Vision line-scan camera in software: control and stream over UDP on one loopback address.

One stream, block ids of 16 bits, no events, no action commands, no multicast.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from tests.gige import registers as r
from tests.gige.belt import Belt, Exposure
from tests.gige.description import CHUNKS, IMAGE_CHUNK, describe
from tests.gige.gvcp import PORT, Address, answer, parse
from tests.gige.gvsp import Block, Packet, chunk_tail, packets
from tests.gige.pixels import FORMATS, Grey, packed_size
from tests.gige.webs import lines_at, shown

REMEMBERED_BLOCKS = 64  # for resends
LINES_BITS = 0b101  # what the input lines say
CHUNK_BYTES = 8 + 12 * len(CHUNKS)


@dataclass(slots=True)
class Sent:
    """A block that can be asked for again, without the packets that are lost for good."""

    packets: list[Packet]
    receiver: Address
    lost: frozenset[int]


@dataclass(slots=True)
class Camera:
    """Serves until `stop`; the belt may be given cues from any thread at any time."""

    address: str
    web: Grey
    line_rate_hz: float
    height: int
    serial: str = "0001"
    discovery: bool = False
    seed: int = 0
    belt: Belt = field(default_factory=Belt)
    _registers: r.Registers = field(init=False)
    _stop: threading.Event = field(default_factory=threading.Event)
    _acquiring: threading.Event = field(default_factory=threading.Event)
    _controller: Address | None = None
    _heard_s: float = 0.0
    _sent: OrderedDict[int, Sent] = field(default_factory=OrderedDict)
    _sent_lock: threading.Lock = field(default_factory=threading.Lock)
    _stream: socket.socket = field(init=False)
    _shown: tuple[int, Grey] = field(init=False)

    def start(self) -> None:
        """Bind and serve; raises OSError when the address has a camera already."""
        self._registers = r.bootstrap(xml=describe(), address=self.address, serial=self.serial)
        for name, value in {
            "Width": self.web.shape[1],
            "WidthMax": self.web.shape[1],
            "Height": self.height,
            "HeightMax": 8192,
            "PixelFormat": FORMATS["Mono8"][0],
            "DeviceScanType": 1,
            "AcquisitionLineRate": round(self.line_rate_hz * 1000),
            "ExposureTime": 20_000,
        }.items():
            self._registers[r.FEATURES[name]] = value
        self._shown = (8, shown(self.web, 8))
        sockets = [self._listen(self.address)]
        if self.discovery:
            sockets += [self._listen("255.255.255.255"), self._listen("127.255.255.255")]
        self._stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stream.bind((self.address, 0))
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        threading.Thread(target=self._control, args=(sockets,), name="control", daemon=True).start()
        threading.Thread(target=self._run, name="stream", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _listen(self, address: str) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((address, PORT))
        return listener

    # -- control: what gvcp asks of a device

    def may_write(self, client: Address) -> bool:
        allowed = self._controller in (None, client)
        self.belt.counts.denied += not allowed
        return allowed

    def read_register(self, address: int) -> int:
        if address == r.FEATURES["PayloadSize"]:
            return self._payload_bytes()
        if address == r.FEATURES["EncoderValue"]:
            return self.belt.encoder & 0xFFFFFFFF
        return self._registers[address]

    def write_register(self, address: int, value: int, client: Address) -> None:
        if address == r.CONTROL_CHANNEL_PRIVILEGE:
            self._controller = client if value else None
            self._heard_s = time.monotonic()
            if not value:
                self._acquiring.clear()
        elif address == r.FEATURES["AcquisitionStart"]:
            self._acquiring.set()
        elif address == r.FEATURES["AcquisitionStop"]:
            self._acquiring.clear()
        elif address == r.FEATURES["EncoderReset"]:
            self.belt.encoder = 0
        self._registers[address] = value
        self._switch(address)

    def read_memory(self, address: int, size: int) -> bytes:
        if size == 4 and address < r.XML_ADDRESS:
            return struct.pack(">I", self.read_register(address))
        return self._registers.read(address, size)

    def write_memory(self, address: int, data: bytes) -> None:
        self._registers.write(address, data)
        self._switch(address)

    def _switch(self, address: int) -> None:
        """Lines and user outputs, each by its selector."""
        feature, counts = self._registers.feature, self.belt.counts
        if address == r.FEATURES["UserOutputValue"]:
            levels = counts.user_outputs.setdefault(str(feature("UserOutputSelector")), [])
            levels.append(feature("UserOutputValue"))
        elif address == r.FEATURES["LineSource"] and feature("LineMode"):
            counts.line_sources[str(feature("LineSelector"))] = feature("LineSource")

    def resend(self, block_id: int, first: int, last: int) -> None:
        counts = self.belt.counts
        counts.resend_requests += 1
        with self._sent_lock:
            sent = self._sent.get(block_id)
        for packet_id in range(first, last + 1):
            if sent is None or packet_id in sent.lost or packet_id >= len(sent.packets):
                counts.resends_refused += 1
                continue
            self._stream.sendmsg(sent.packets[packet_id], [], 0, sent.receiver)
            counts.packets_resent += 1

    def _control(self, sockets: list[socket.socket]) -> None:
        while not self._stop.is_set():
            ready, _, _ = select.select(sockets, [], [], 0.1)
            self._watch_heartbeat()
            for one in ready:
                datagram, client = one.recvfrom(65536)
                command = parse(datagram)
                if command is None or not self._answers():
                    continue
                if client == self._controller:
                    self._heard_s = time.monotonic()
                reply = answer(command, client, self)
                if reply is not None:
                    sockets[0].sendto(reply, client)

    def _answers(self) -> bool:
        """Whether the next command is answered; a pause is over when it is."""
        cues = self.belt.cues
        if cues.answers == 0:
            cues.answers, cues.mute = None, not cues.pause_s
            time.sleep(cues.pause_s)
        if cues.mute:
            return False
        if cues.answers is not None:
            cues.answers -= 1
        self.belt.counts.commands += 1
        return True

    def _watch_heartbeat(self) -> None:
        silent_s = time.monotonic() - self._heard_s
        if self._controller is not None and silent_s * 1000 > self._registers[r.HEARTBEAT_TIMEOUT_MS]:
            self._controller = None
            self._registers[r.CONTROL_CHANNEL_PRIVILEGE] = 0
            self._acquiring.clear()
            self.belt.counts.heartbeats_lost += 1

    # -- stream

    def _run(self) -> None:
        rng = random.Random(self.seed)
        due_s, block_id = 0.0, 0
        while not self._stop.is_set():
            if not self._acquiring.wait(0.1):
                due_s, block_id = 0.0, 0
                continue
            height = self._registers.feature("Height")
            period_s = height * 1000 / max(1, self._registers.feature("AcquisitionLineRate"))
            now_s = time.perf_counter()
            # A belt does not wait; after a second behind it is the simulator that is too slow.
            due_s = due_s + period_s if now_s - 1 < due_s else now_s + period_s
            time.sleep(max(0.0, due_s - now_s))
            with self.belt.held:
                exposure = self.belt.expose(height) if self._acquiring.is_set() else None
                if exposure is not None:
                    cues = self.belt.cues
                    block_id = cues.next_block_id or block_id % 65535 + 1
                    cues.next_block_id = None
                    self._send(exposure, block_id, rng)

    def _receiver(self) -> Address | None:
        """Who is to have the stream; None while the channel is closed, as the standard has it for port 0."""
        port = self._registers[r.STREAM_PORT] & 0xFFFF
        address = socket.inet_ntoa(struct.pack(">I", self._registers[r.STREAM_ADDRESS]))
        return (address, port) if port else None

    def _send(self, exposure: Exposure, block_id: int, rng: random.Random) -> None:
        cues, counts = self.belt.cues, self.belt.counts
        receiver = self._receiver()
        if receiver is None:
            return
        made = packets(self._block(exposure, block_id), self._registers[r.STREAM_PACKET_SIZE] & 0xFFFF)
        if cues.drop_blocks:
            cues.drop_blocks -= 1
            counts.blocks_dropped += 1
            return
        lost: frozenset[int] = frozenset()
        if cues.damage_blocks:
            cues.damage_blocks -= 1
            lost = frozenset({len(made) // 2})
        with self._sent_lock:
            self._sent[block_id] = Sent(made, receiver, lost)
            while len(self._sent) > REMEMBERED_BLOCKS:
                self._sent.popitem(last=False)
        if cues.mute:
            return
        for place, packet in enumerate(made):
            if place in lost or (cues.drop_packets and rng.random() < cues.drop_packets):
                counts.packets_dropped += 1
                continue
            self._stream.sendmsg(packet, [], 0, receiver)
            counts.packets += 1

    def _block(self, exposure: Exposure, block_id: int) -> Block:
        name = self._format()
        code, bits, _, pack = FORMATS[name]
        width = self._registers.feature("Width")
        if self._shown[0] != bits:
            self._shown = (bits, shown(self.web, bits))
        image = pack(lines_at(self._shown[1], exposure.positions)[:, :width])
        has_chunks = bool(self._registers.feature("ChunkModeActive"))
        if has_chunks:
            tail = chunk_tail(
                IMAGE_CHUNK,
                len(image),
                {
                    CHUNKS["ChunkEncoderValue"]: exposure.encoder,
                    CHUNKS["ChunkLineStatusAll"]: LINES_BITS,
                    CHUNKS["ChunkCounterValue"]: exposure.counter,
                },
            )
            image = np.concatenate([image, np.frombuffer(tail, np.uint8)])
        return Block(
            block_id=block_id,
            payload=image,
            has_chunks=has_chunks,
            timestamp_ns=time.monotonic_ns(),
            pixel_format=code,
            width=width,
            lines=len(exposure.positions),
        )

    def _format(self) -> str:
        code = self._registers.feature("PixelFormat")
        return next(name for name, (known, *_) in FORMATS.items() if known == code)

    def _payload_bytes(self) -> int:
        pixels = self._registers.feature("Width") * self._registers.feature("Height")
        tail = CHUNK_BYTES if self._registers.feature("ChunkModeActive") else 0
        return packed_size(self._format(), pixels) + tail
