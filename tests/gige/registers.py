"""The camera's registers: the bootstrap map of GigE Vision 1.2 and the camera's own features."""

from __future__ import annotations

import socket
import struct

DEVICE_MODE = 0x0004
CURRENT_IP = 0x0024
FIRST_URL = 0x0200
N_STREAM_CHANNELS = 0x0904
GVCP_CAPABILITY = 0x0934
HEARTBEAT_TIMEOUT_MS = 0x0938
CONTROL_CHANNEL_PRIVILEGE = 0x0A00
STREAM_PORT = 0x0D00
STREAM_PACKET_SIZE = 0x0D04
STREAM_ADDRESS = 0x0D18
TEXTS = {
    "DeviceVendorName": (0x0048, 32),
    "DeviceModelName": (0x0068, 32),
    "DeviceVersion": (0x0088, 32),
    "DeviceID": (0x00D8, 16),
    "DeviceUserID": (0x00E8, 16),
}
FEATURES = {
    name: 0x10000 + 4 * place
    for place, name in enumerate(
        [
            *("Width", "Height", "WidthMax", "HeightMax", "PixelFormat", "DeviceScanType"),
            *("AcquisitionMode", "AcquisitionStart", "AcquisitionStop"),
            *("AcquisitionLineRate", "ExposureTime"),  # millihertz, nanoseconds
            *("EncoderValue", "EncoderReset", "ChunkModeActive", "PayloadSize", "TLParamsLocked"),
            *("LineSelector", "LineMode", "LineSource", "UserOutputSelector", "UserOutputValue"),
        ]
    )
}
XML_ADDRESS = 0x100000
SIZE = 0x10100
NS_PER_S = 1_000_000_000


class Registers:
    """Big-endian 32 bit words below SIZE, and the description, read only, at XML_ADDRESS."""

    def __init__(self, xml: bytes) -> None:
        self._xml = xml
        self._memory = bytearray(SIZE)

    def __getitem__(self, address: int) -> int:
        word: int = struct.unpack_from(">I", self._memory, address)[0] if address <= SIZE - 4 else 0
        return word

    def __setitem__(self, address: int, value: int) -> None:
        struct.pack_into(">I", self._memory, address, value & 0xFFFFFFFF)

    def feature(self, name: str) -> int:
        return self[FEATURES[name]]

    def read(self, address: int, size: int) -> bytes:
        if address >= XML_ADDRESS:
            offset = address - XML_ADDRESS
            return self._xml[offset : offset + size].ljust(size, b"\0")
        return bytes(self._memory[address : address + size]).ljust(size, b"\0")

    def write(self, address: int, data: bytes) -> None:
        self._memory[address : address + len(data)] = data


def bootstrap(*, xml: bytes, address: str, serial: str) -> Registers:
    """What a camera at `address` says of itself after it is switched on."""
    registers = Registers(xml)
    registers[0] = 0x00010002  # GigE Vision 1.2
    registers[DEVICE_MODE] = 0x80000001  # big endian, UTF-8
    registers[0x0008], registers[0x000C] = 0x0000AABB, 0xCCDDEE01  # MAC address
    registers[0x0010], registers[0x0014] = 0x7, 0x4  # IP by persistent address, DHCP or LLA; now LLA
    registers[CURRENT_IP] = struct.unpack(">I", socket.inet_aton(address))[0]
    registers[0x0034] = 0xFF000000  # subnet mask
    registers[0x0600] = registers[N_STREAM_CHANNELS] = 1
    registers[GVCP_CAPABILITY] = 0x7  # several registers at once, memory writes, packet resend
    registers[HEARTBEAT_TIMEOUT_MS] = 3000
    registers[0x093C], registers[0x0940] = 0, NS_PER_S  # timestamp ticks in a second
    registers[STREAM_PACKET_SIZE] = 1400
    for name, text in (
        ("DeviceVendorName", "Plumbline"),
        ("DeviceModelName", "SimLine"),
        ("DeviceVersion", "1.0"),
        ("DeviceID", serial),
    ):
        place, size = TEXTS[name]
        registers.write(place, text.encode().ljust(size, b"\0"))
    url = f"Local:simline.xml;{XML_ADDRESS:x};{len(xml):x}".encode()
    registers.write(FIRST_URL, url.ljust(512, b"\0"))
    return registers
