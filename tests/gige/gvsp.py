"""A block of lines as the packets of a GigE Vision stream: leader, payload, trailer."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IMAGE = 0x0001
EXTENDED_CHUNK = 0x4000  # a flag of the payload type
OVERHEAD_BYTES = 36  # IP, UDP and GVSP headers, which the packet size of the standard includes
LEADER, TRAILER, PAYLOAD = 1, 2, 3

Packet = tuple[bytes, "memoryview | bytes"]  # header, and what follows it


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block as the camera has it before it is sent."""

    block_id: int  # 1 to 65535
    payload: npt.NDArray[np.uint8]  # (bytes,), chunks included
    has_chunks: bool
    timestamp_ns: int
    pixel_format: int
    width: int
    lines: int


def packets(block: Block, packet_size: int) -> list[Packet]:
    """In the order of sending; `packet_size` includes all headers, as in the register."""
    kind = IMAGE | (EXTENDED_CHUNK if block.has_chunks else 0)
    leader = struct.pack(
        ">HHIIIIIIIHH",
        *(0, kind, block.timestamp_ns >> 32, block.timestamp_ns & 0xFFFFFFFF),
        *(block.pixel_format, block.width, block.lines, 0, 0, 0, 0),
    )
    step = packet_size - OVERHEAD_BYTES
    data = memoryview(block.payload)
    parts = [data[start : start + step] for start in range(0, len(data), step)]
    trailer = struct.pack(">II", kind, block.lines)
    return [
        (_header(block.block_id, LEADER, 0), leader),
        *((_header(block.block_id, PAYLOAD, place + 1), part) for place, part in enumerate(parts)),
        (_header(block.block_id, TRAILER, len(parts) + 1), trailer),
    ]


def chunk_tail(image_id: int, image_bytes: int, chunks: Mapping[int, int]) -> bytes:
    """What follows the image in a payload with chunks: 4 byte values, each followed by its id and size."""
    tail = struct.pack(">II", image_id, image_bytes)
    for chunk_id, value in chunks.items():
        tail += struct.pack(">III", value & 0xFFFFFFFF, chunk_id, 4)
    return tail


def _header(block_id: int, kind: int, packet_id: int) -> bytes:
    return struct.pack(">HHI", 0, block_id, kind << 24 | packet_id)
