"""A camera behind a vendor's GenTL producer (`.cti`), which runs in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.cameras.camera import CameraError, CameraInUse, CameraMisconfigured, fault_now
from agent.cameras.gentl.channel import Channel, Gone
from agent.cameras.gentl.slots import Slots
from agent.cameras.images import from_opencv
from agent.clock import Clock
from agent.messages import Frame, FrameFault
from agent.settings.camera import HarvestersSource

END_S = 2.0
MISSING_FAULTS = 1000  # of a longer gap the rest is only counted
COUNTED = ("missing", "failed", "torn")  # frames
WRAP = 65_535  # 16 bit block ids count on from here with 1
ERRORS = {"in_use": CameraInUse, "settings": CameraMisconfigured, "absent": CameraError}


class HarvestersCamera:
    """Frames cross shared memory and are copied out of it; a trigger whose picture is missing is a fault.

    Of an area camera every id that is left out is such a trigger. Blocks of a line camera have their place,
    `first_line`, from their id and height, so that lost ones show there.
    """

    def __init__(self, name: str, source: HarvestersSource, clock: Clock) -> None:
        self._name = name
        self._source = source
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._slots: Slots | None = None
        self._waiting: deque[Frame | FrameFault] = deque()
        self._device_id: int | None = None  # the last one that was seen
        self._frame_id = -1
        self._counts: Counter[str] = Counter()

    def open(self) -> None:
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this very package
                [sys.executable, "-m", "agent.cameras.gentl.driver", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # producers print what they like
                cwd=Path(__file__).parents[3],  # `-m` finds this very package there
                start_new_session=True,  # Ctrl-C is for the agent, which then ends it
            )
        try:
            channel = self._channel
            channel.send({"name": self._name, "source": self._source.model_dump(mode="json")})
            answer = self._receive(channel, self._source.open_timeout_s)
            if answer is None:
                raise CameraError(
                    f"camera {self._name}: did not open within {self._source.open_timeout_s:g} s; check the"
                    " camera, or raise source.open_timeout_s"
                )
            memory = channel.take_handle()
            self._slots = Slots(memory, answer["slots"], answer["size_bytes"])
            os.close(memory)
        except BaseException:
            self.close()
            raise
        self._device_id, self._frame_id = None, -1
        self._counts.clear()

    def grab(self, timeout_s: float) -> Frame | FrameFault | None:
        if self._waiting:
            return self._waiting.popleft()
        if self._channel is None:
            raise CameraError(f"camera {self._name}: is not open; call open first")
        message = self._receive(self._channel, timeout_s)
        if message is None:
            return None
        missing = self._missing_before(message["id"])
        self._counts["missing"] += missing
        if self._source.scan == "area":
            self._waiting.extend(
                self._fault(
                    self._frame_id + 1 + number, "did not arrive; check cable, buffers and processor load"
                )
                for number in range(min(missing, MISSING_FAULTS))
            )
        self._frame_id += missing + 1
        self._waiting.append(self._item(self._channel, message))
        return self._waiting.popleft()

    def stats(self) -> Mapping[str, int]:
        return {name: self._counts[name] for name in COUNTED}

    def close(self) -> None:
        """Asks the process to end, and ends it where it does not within END_S."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._slots is not None:
            self._slots.close()
            self._slots = None
        self._waiting.clear()

    def _receive(self, channel: Channel, timeout_s: float) -> dict[str, Any] | None:
        """What the process says; raises what it reports, and its end."""
        try:
            message = channel.receive(timeout_s)
        except Gone as error:
            assert self._process is not None
            code = self._process.poll()
            ended = "was ended" if code is None else f"ended with {code}"
            raise CameraError(
                f"camera {self._name}: the process of its producer {ended}; it is started anew"
            ) from error
        if message is not None and "error" in message:
            raise ERRORS[message["why"]](message["error"])
        return message

    def _missing_before(self, device_id: int) -> int:
        """How many ids were left out between the last one and this one; ids of 16 bits begin again with 1."""
        before, self._device_id = self._device_id, device_id
        if before is None:
            return 0
        if device_id <= before <= WRAP:
            return max(0, device_id + WRAP - before - 1) if before > WRAP // 2 > device_id else 0
        return max(0, device_id - before - 1)

    def _item(self, channel: Channel, message: dict[str, Any]) -> Frame | FrameFault:
        if "failed" in message:
            self._counts["failed"] += 1
            return self._fault(self._frame_id, message["failed"])
        assert self._slots is not None
        picture = self._slots.read(message["slot"], message["number"], tuple(message["shape"]))
        with suppress(Gone):  # the next grab says why
            channel.send({"slot": message["slot"]})
        if picture is None:
            self._counts["torn"] += 1
            return self._fault(self._frame_id, "was overwritten in shared memory; report this")
        if message["format"] == "BGR8":
            picture = from_opencv(picture)
        return Frame(
            camera=self._name,
            frame_id=self._frame_id,
            image=picture,
            captured_ns=self._clock.monotonic_ns(),
            captured_at=self._clock.utc_now(),
            first_line=self._frame_id * picture.shape[0] if self._source.scan == "line" else 0,
            device_ns=message["device_ns"],
        )

    def _fault(self, frame_id: int, why: str) -> FrameFault:
        detail = f"camera {self._name}: frame {frame_id} {why}"
        return fault_now(self._name, frame_id, detail, self._clock)
