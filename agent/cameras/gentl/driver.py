"""The driver process of a GenTL camera: `python -m agent.cameras.gentl.driver HANDLE`.

A vendor's producer may crash, hang or leak; here it takes nobody with it. The process says `opened`, then
`frame` for each picture that lies in a slot, or once `error`; it ends when the agent closes the channel.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from agent.cameras.camera import CameraError, CameraInUse, CameraMisconfigured
from agent.cameras.gentl.channel import Channel, Gone
from agent.cameras.gentl.genapi import Failures, write_features
from agent.cameras.gentl.slots import Slots
from agent.messages import Pixels
from agent.settings.camera import HarvestersSource

FETCH_S = 0.1
CHANNELS = {"RGB8": 3, "BGR8": 3, "Mono8": 1}


def main(handle: int) -> None:
    """Serve one camera until the agent goes."""
    channel = Channel(socket.socket(fileno=handle))
    logging.disable()  # harvesters logs what is raised here as well
    try:
        asked = channel.receive(None)
        assert asked is not None
        source = HarvestersSource.model_validate(asked["source"])
        _serve(channel, asked["name"], source)
    except CameraInUse as error:
        channel.send({"error": str(error), "why": "in_use"})
    except CameraMisconfigured as error:
        channel.send({"error": str(error), "why": "settings"})
    except CameraError as error:
        channel.send({"error": str(error), "why": "absent"})
    except Gone:
        pass  # the agent closed the camera, or died
    finally:
        channel.close()


def _serve(channel: Channel, name: str, source: HarvestersSource) -> None:
    try:
        from genicam import genapi, gentl
        from harvesters.core import Harvester
    except ImportError as error:
        raise CameraMisconfigured(
            f"camera {name}: harvesters cannot be imported ({error}); install plumbline[genicam]"
        ) from error
    harvester = Harvester()
    failures = (genapi.GenericException, gentl.GenericException)
    silent = (genapi.TimeoutException, gentl.TimeoutException, gentl.IoException)
    try:
        _load(harvester, name, source.producer, failures)
        device = _choose(harvester.device_info_list, name, source)
        try:
            acquirer = harvester.create({"serial_number": device.serial_number, "id_": device.id_})
        except (gentl.ResourceInUseException, gentl.AccessDeniedException) as error:
            raise CameraInUse(
                f"camera {name}: {device.display_name} is in use by another client; close that one, or wait"
                " for its heartbeat to end"
            ) from error
        except failures as error:
            raise CameraError(
                f"camera {name}: {device.display_name} does not open ({_first(error)}); check its cable"
            ) from error
        try:
            node_map = acquirer.remote_device.node_map
            write_features(
                node_map, source.features, camera=name, failures=Failures(every=failures, silent=silent)
            )
            acquirer.num_buffers = max(source.buffers, acquirer.min_num_buffers)
            acquirer.start()
            _stream(channel, acquirer, name, source.buffers, int(node_map.PayloadSize.value))
        except failures as error:
            raise CameraError(
                f"camera {name}: the producer failed ({_first(error)}); check camera and cable"
            ) from error
        finally:
            acquirer.destroy()
    finally:
        harvester.reset()


def _load(harvester: Any, name: str, producer: Path, failures: tuple[type[Exception], ...]) -> None:
    unloadable: tuple[type[Exception], ...] = (OSError, *failures)
    try:
        harvester.add_file(str(producer), check_existence=True, check_validity=True)
        harvester.update()
    except FileNotFoundError as error:
        raise CameraMisconfigured(
            f"camera {name}: source.producer {producer} does not exist; give the path of the vendor's .cti"
        ) from error
    except unloadable as error:
        raise CameraMisconfigured(
            f"camera {name}: source.producer {producer} cannot be loaded ({_first(error)}); take the .cti of"
            " this machine's processor, and install what the vendor asks for"
        ) from error


def _choose(devices: Any, name: str, source: HarvestersSource) -> Any:
    """The one device that `source.device` means; CameraError names what is there instead."""
    known = [(d, {d.serial_number, d.id_, d.user_defined_name, d.display_name}) for d in devices]
    fitting = [device for device, names in known if not source.device or source.device in names]
    if len(fitting) == 1:
        return fitting[0]
    there = ", ".join(device.serial_number for device in devices) or "none"
    if not fitting:
        raise CameraError(
            f"camera {name}: source.device {source.device!r} is not there (serial numbers found: {there});"
            " switch it on, or set source.device"
        )
    raise CameraMisconfigured(
        f"camera {name}: source.device {source.device!r} fits {len(fitting)} devices; set it to one of the"
        f" serial numbers {there}"
    )


def _stream(channel: Channel, acquirer: Any, name: str, count: int, payload_bytes: int) -> None:
    memory = Slots.allocate(count, payload_bytes)
    slots = Slots(memory, count, payload_bytes)
    free: queue.SimpleQueue[int] = queue.SimpleQueue()
    for slot in range(count):
        free.put(slot)
    gone = threading.Event()
    threading.Thread(target=_take_back, args=(channel, free, gone), daemon=True).start()
    channel.send({"opened": True, "slots": count, "size_bytes": payload_bytes}, memory)
    os.close(memory)
    number = 0
    while not gone.is_set():
        buffer = acquirer.try_fetch(timeout=FETCH_S)
        if buffer is None:
            continue
        try:
            number += 1
            channel.send(delivered(buffer, slots, free, number, name))
        finally:
            buffer.queue()


def delivered(
    buffer: Any, slots: Slots, free: queue.SimpleQueue[int], number: int, name: str
) -> dict[str, Any]:
    """What is told of a buffer; its picture is in a slot then, unless there is a reason why not."""
    message = {"id": int(buffer.module.frame_id), "number": number, "device_ns": _timestamp_ns(buffer)}
    if not buffer.module.is_complete() or not buffer.payload.components:
        return message | {"failed": "it came incomplete; check cable, network buffers and processor load"}
    component = buffer.payload.components[0]
    channels = CHANNELS.get(component.data_format)
    if channels is None:
        raise CameraMisconfigured(
            f"camera {name}: feature PixelFormat is {component.data_format}, which is not read here; write"
            f" {', '.join(CHANNELS)} to it"
        )
    try:
        slot = free.get_nowait()
    except queue.Empty:
        return message | {"failed": "all source.buffers were full; raise them, or slow the camera down"}
    picture: Pixels = component.data
    shape = (component.height, component.width, channels)
    slots.write(slot, number, picture[: shape[0] * shape[1] * channels])
    return message | {"slot": slot, "shape": shape, "format": component.data_format}


def _timestamp_ns(buffer: Any) -> int | None:
    try:
        return int(buffer.timestamp_ns)
    except Exception:  # producers without a clock raise what they like
        return None


def _take_back(channel: Channel, free: queue.SimpleQueue[int], gone: threading.Event) -> None:
    """Slots that the agent has read; until it closes the channel or dies."""
    try:
        while True:
            back = channel.receive(None)
            assert back is not None
            free.put(back["slot"])
    except Gone:
        gone.set()


def _first(error: BaseException) -> str:
    return str(error).split(" : ")[0].splitlines()[0][:200] if str(error) else type(error).__name__


if __name__ == "__main__":
    main(int(sys.argv[1]))
