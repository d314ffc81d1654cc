"""How packets reach us: by a packet socket, or by UDP with a buffer that must be large enough."""

from __future__ import annotations

import fcntl
import re
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

UDP_BUFFER_BYTES = 4_000_000
_SIOCGIFADDR, _SIOCGIFMTU = 0x8915, 0x8921


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketPath:
    """What was chosen, and what is wrong with it."""

    kind: Literal["packet", "udp"]
    warning: str | None = None


def choose(*, may_open_packet_socket: bool, rmem_max_bytes: int | None) -> SocketPath:
    """The packet socket where the process may have one, because it loses the least."""
    if may_open_packet_socket:
        return SocketPath(kind="packet")
    if rmem_max_bytes is not None and rmem_max_bytes < UDP_BUFFER_BYTES:
        return SocketPath(
            kind="udp",
            warning=f"net.core.rmem_max is {rmem_max_bytes}, packets will be lost; set it to 4194304 with"
            " sysctl, or give the agent CAP_NET_RAW",
        )
    return SocketPath(kind="udp")


def may_open_packet_socket() -> bool:
    """Whether this process has CAP_NET_RAW."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError:
        return False
    return True


def rmem_max_bytes() -> int | None:
    """The kernel's limit of a receive buffer; None where it does not say."""
    try:
        return int(Path("/proc/sys/net/core/rmem_max").read_text())
    except OSError:
        return None


def mtu_towards(address: str) -> tuple[str, int] | None:
    """Interface and its MTU on the way to an IPv4 address, without sending anything.

    None where that is not known, and for a camera that is named by Vendor-Model-Serial.
    """
    if not re.fullmatch(r"[0-9.]+", address):
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 3956))
        except OSError:
            return None
        ours = socket.inet_aton(probe.getsockname()[0])
        for _, name in socket.if_nameindex():
            asked = struct.pack("16s24x", name.encode())
            try:
                if fcntl.ioctl(probe, _SIOCGIFADDR, asked)[20:24] == ours:
                    (mtu,) = struct.unpack_from("i", fcntl.ioctl(probe, _SIOCGIFMTU, asked), 16)
                    return name, mtu
            except OSError:  # an interface without an IPv4 address
                continue
    return None
