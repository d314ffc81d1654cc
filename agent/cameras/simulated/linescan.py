"""A virtual line sensor: pictures scroll past at a line rate, with the accidents of a real belt.

The line coordinate, the encoder and the clock of the sensor follow from the block number alone, so a
run is the same every time. Belt reversal and speed ramps are not simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np

from agent.cameras.camera import CameraError, EndOfStream, fault_now
from agent.cameras.pace import wait_until
from agent.cameras.simulated.strip import Strip, check_widths
from agent.clock import Clock
from agent.messages import Frame, FrameFault, Pixels
from agent.settings.camera import LinescanSimSource


class LinescanSimCamera:
    """Delivers blocks of lines in real time; the belt does not wait for a slow consumer.

    `images` take the place of the source's path, in the given order.
    """

    def __init__(self, name: str, images: Sequence[Path], source: LinescanSimSource, clock: Clock) -> None:
        self._name = name
        self._images = images
        self._source = source
        self._clock = clock
        self._rng = np.random.default_rng(source.seed)
        self._strip = Strip(images, repeat=source.repeat, max_megapixels=source.max_megapixels)
        self._started_ns = 0
        self._block = 0
        self._due_ns = 0
        self._frame_id = 0

    def open(self) -> None:
        if not self._images:
            raise CameraError(f"camera {self._name}: no images for the line sensor; set source.path")
        check_widths(self._images)
        self._strip = Strip(
            self._images, repeat=self._source.repeat, max_megapixels=self._source.max_megapixels
        )
        self._strip.start()
        self._rng = np.random.default_rng(self._source.seed)
        self._block = 0
        self._started_ns = self._clock.monotonic_ns()
        self._due_ns = self._delivery_ns()

    def grab(self, timeout_s: float) -> Frame | FrameFault | None:
        if self._strip.faults:
            return self._fault(self._strip.faults.pop(0))
        if not wait_until(self._due_ns, timeout_s, self._clock):
            return None
        image = self._next_block()
        if image is None and not self._strip.faults:
            raise EndOfStream
        if image is None:
            return self._fault(self._strip.faults.pop(0))
        frame = Frame(
            camera=self._name,
            frame_id=self._frame_id,
            image=image,
            captured_ns=self._due_ns,
            captured_at=self._clock.utc_now() - self._age(),
            first_line=self._first_line(),
            encoder=self._first_line() * self._source.encoder_ticks_per_line,
            device_ns=self._passing_ns(self._first_line()),
            lines_lost=self._lost_before(),
        )
        self._frame_id += 1
        self._block += 1
        self._due_ns = self._delivery_ns()
        return frame

    def close(self) -> None:
        """Nothing is held open."""

    def image_at(self, line: int) -> Path:
        """The picture under an absolute line, from any thread; raises LookupError before it has passed."""
        return self._strip.image_at(line)

    def _next_block(self) -> Pixels | None:
        self._strip.skip(self._lost_before())
        return self._strip.take(self._source.height)

    def _lost_before(self) -> int:
        every = self._source.lose_every_blocks
        return self._source.lose_lines if every and self._block and self._block % every == 0 else 0

    def _first_line(self) -> int:
        every = self._source.lose_every_blocks
        losses = self._block // every if every else 0
        return self._block * self._source.height + losses * self._source.lose_lines

    def _passing_ns(self, line: int) -> int:
        """When a line of this block passes, since `open`; the sensor's own clock."""
        every = self._source.stop_every_blocks
        stops = self._block // every if every else 0
        return round((line / self._source.line_rate_hz + stops * self._source.stop_s) * 1e9)

    def _delivery_ns(self) -> int:
        """When the host has this block: after its last line, and up to `jitter` block periods later."""
        late_lines = self._rng.uniform(0, self._source.jitter) * self._source.height
        last_line = self._first_line() + self._source.height
        return (
            self._started_ns
            + self._passing_ns(last_line)
            + round(late_lines / self._source.line_rate_hz * 1e9)
        )

    def _age(self) -> timedelta:
        return timedelta(microseconds=(self._clock.monotonic_ns() - self._due_ns) / 1000)

    def _fault(self, detail: str) -> FrameFault:
        first_line = self._first_line()
        fault = fault_now(self._name, self._frame_id, detail, self._clock, first_line=first_line)
        self._frame_id += 1
        return fault
