"""The cameras: whether they answer, and what the way their packets take must have. None is taken away."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from agent.address import connectable, masked
from agent.cameras import probe
from agent.cameras.camera import CameraError
from agent.cameras.genicam.sockets import choose, may_open_packet_socket, mtu_towards
from agent.cameras.video import rtsp_probe
from agent.cameras.video.stream import is_live
from agent.doctor import gige
from agent.doctor.finding import Said, failed, note, ok, skipped, wrong
from agent.doctor.holder import holder_of
from agent.doctor.site import Site
from agent.outbox.place import lock_of
from agent.settings.camera import Camera, GenicamSource, VideoSource

IPV4 = r"[0-9.]+"
CONNECT_S = 2.0
JUMBO_BYTES = 9000
USB3_MBIT = 5000
USB_VISION = ("ef", "05")  # class and subclass of an interface of USB3 Vision
USBFS_MB = 1000
LOOK_AT_CABLE = "see power, cable and network; `plumbline camera list` shows who answers"


def answers(site: Site) -> Iterator[Said]:
    for camera in site.settings.cameras:
        match camera.source:
            case GenicamSource(address=address) if re.fullmatch(IPV4, address):
                yield _gige(site, camera, address)
            case GenicamSource(address=address):
                yield _by_name(camera, address)
            case VideoSource(url=url) if url.startswith("/dev/"):
                yield _device(camera, url)
            case VideoSource(url=url) if is_live(url):
                yield _stream(camera, url)
            case _:
                yield skipped(f"{camera.name}: {camera.source.kind}, see the files that the settings name")


def packets(site: Site) -> Iterator[Said]:
    """Packet size against what the network card carries."""
    found = False
    for camera in site.settings.cameras:
        source = camera.source
        if not isinstance(source, GenicamSource) or (way := mtu_towards(source.address)) is None:
            continue
        found = True
        name, mtu = way
        mtu = site.machine.number(f"sys/class/net/{name}/mtu") or mtu
        size = source.packet_size
        raise_it = f"`sudo ip link set {name} mtu {JUMBO_BYTES}`, and the same in the network's settings"
        if size is not None and size > mtu:
            words = f"{camera.name}: source.packet_size is {size}, and {name} carries {mtu} bytes at most"
            yield wrong(words, f"{raise_it}; or leave source.packet_size out")
        elif mtu < JUMBO_BYTES:
            words = f"{camera.name}: {name} carries {mtu} bytes in a packet, {JUMBO_BYTES} cost far less CPU"
            yield note(words, raise_it)
        else:
            yield ok(f"{camera.name}: {name} carries {mtu} bytes, packets have {size or 'what fits'}")
    if not found:
        yield skipped("no camera is named by its IPv4 address")


def buffers(site: Site) -> Iterator[Said]:
    """How much the kernel keeps of what arrives while we are busy."""
    if not _has_genicam(site):
        yield skipped("no GigE Vision camera is set")
        return
    limit = site.machine.number("proc/sys/net/core/rmem_max")
    way = choose(may_open_packet_socket=may_open_packet_socket(), rmem_max_bytes=limit)
    if way.warning is not None:
        words, _, remedy = way.warning.partition("; ")
        yield wrong(words, remedy)
    elif limit is None:
        yield skipped("the kernel does not tell net.core.rmem_max")
    else:
        yield ok(f"packets come by {way.kind}; net.core.rmem_max is {limit}")


def usb(site: Site) -> Iterator[Said]:
    """USB3 Vision cameras that are plugged in: the speed of their socket, the kernel's memory for them."""
    machine, found = site.machine, []
    for interface in machine.named("sys/bus/usb/devices/*:*"):
        place = f"sys/bus/usb/devices/{interface.name}"
        kind = (machine.text(f"{place}/bInterfaceClass"), machine.text(f"{place}/bInterfaceSubClass"))
        if kind == USB_VISION:
            found.append(interface.name.partition(":")[0])
    if not found:
        yield skipped("no USB3 Vision camera is plugged in")
        return
    for name in sorted(set(found)):
        place = f"sys/bus/usb/devices/{name}"
        mbit = machine.number(f"{place}/speed")
        words = f"{machine.text(f'{place}/product') or 'camera'} at USB {name}: {mbit} Mbit/s"
        if mbit is not None and mbit < USB3_MBIT:
            yield wrong(
                f"{words}, which is no USB 3", "use a blue or SS socket, a USB 3 cable, and no old hub"
            )
        else:
            yield ok(words)
    limit = machine.number("sys/module/usbcore/parameters/usbfs_memory_mb")
    if limit is not None and 0 < limit < USBFS_MB:
        place = "/sys/module/usbcore/parameters/usbfs_memory_mb"
        yield wrong(
            f"usbfs_memory_mb is {limit}: large or many pictures do not come through",
            f"`echo {USBFS_MB} | sudo tee {place}`, and usbcore.usbfs_memory_mb={USBFS_MB} for the next boot",
        )
    else:
        yield ok(f"usbfs_memory_mb is {'not told' if limit is None else limit or 'without a limit'}")


def _gige(site: Site, camera: Camera, address: str) -> Said:
    try:
        found = gige.ask(address)
    except OSError as error:
        return wrong(f"{camera.name}: no way to {address} ({error.strerror})", LOOK_AT_CABLE)
    if found is None:
        return wrong(f"{camera.name}: nothing answers at {address}", LOOK_AT_CABLE)
    words = f"{camera.name}: {found.model}, serial {found.serial}, answers at {address}"
    holder = holder_of(site.machine, lock_of(site.settings.outbox.path))
    if holder is not None and holder.is_agent:
        return ok(f"{words}; {'held' if found.is_controlled else 'not held'} by the running agent")
    if found.is_controlled:
        return note(f"{words}; some program controls it", "end it before the agent starts: one only may")
    return ok(words)


def _by_name(camera: Camera, name: str) -> Said:
    try:
        found = [one for one in probe.discover() if one.device_id == name]
    except CameraError as error:
        return failed(error, LOOK_AT_CABLE)
    if not found:
        return wrong(f"{camera.name}: no camera answers to the name {name}", LOOK_AT_CABLE)
    return ok(f"{camera.name}: {name} answers at {found[0].address or found[0].protocol}")


def _device(camera: Camera, url: str) -> Said:
    place = Path(url)
    if not place.is_char_device():
        return wrong(
            f"{camera.name}: there is no device {url}", "plug the camera in; `ls /dev/video*` shows them"
        )
    if not os.access(place, os.R_OK | os.W_OK):
        return wrong(f"{camera.name}: {url} may not be used by this user", "add the user to the group video")
    return ok(f"{camera.name}: {url} is there")


def _stream(camera: Camera, url: str) -> Said:
    parts = urlsplit(connectable(url))
    try:
        host, port = parts.hostname or "", parts.port or (rtsp_probe.PORT if parts.scheme == "rtsp" else 80)
        if parts.scheme == "https" and parts.port is None:
            port = 443
    except ValueError:
        return wrong(f"{camera.name}: {masked(url)} is no address", "correct source.url")
    if parts.scheme.lower() == "rtsp":
        status = rtsp_probe.describe(connectable(url), CONNECT_S)
        if status in (401, 403):
            return wrong(
                f"{camera.name}: {masked(url)} refused user or password ({status})", "correct source.url"
            )
        if status is not None and status >= 400:
            return wrong(f"{camera.name}: {masked(url)} answers {status}", "check the path in source.url")
        if status is not None:
            return ok(f"{camera.name}: {masked(url)} answers {status}")
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        return wrong(f"{camera.name}: {masked(url)} does not answer ({error})", LOOK_AT_CABLE)
    return ok(f"{camera.name}: {masked(url)} takes connections")


def _has_genicam(site: Site) -> bool:
    return any(isinstance(camera.source, GenicamSource) for camera in site.settings.cameras)
