"""A GenICam camera: blocks and frames with their place, losses accounted for, nothing copied."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from agent.cameras.camera import CameraError
from agent.cameras.genicam.accounting import Accounts, Books
from agent.cameras.genicam.session import Block, Session, open_session
from agent.clock import Clock
from agent.messages import Frame, FrameFault
from agent.settings.camera import FeatureWrite, GenicamSource

log = structlog.get_logger()

COUNTED = ("blocks_missing", "blocks_incomplete")  # beside the library's own
MISSING_FAULTS = 16  # of a longer run of missing frames, the rest share one fault
OLDEST_S = 60.0  # a block that seems to have waited longer met a step of the wall clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """How blocks come in, for people and for tests."""

    socket: str  # packet, udp, or usb
    warning: str | None
    pixel_format: str
    statistics: dict[str, int]  # Aravis' own, such as n_resent_packets


class GenicamCamera:
    """One camera by address or by Vendor-Model-Serial.

    With `scan: line` a block that is lost or incomplete is not given out: its lines are `lines_lost` of
    the next one. With `scan: area` it is a FrameFault, so that every trigger gets its record. A picture may
    lie in the memory that packets are written to; it stays as it is for as long as anybody refers to it,
    see ring.py. `close` may come from another thread and takes up to 5 s; `open` need not wait for it.
    """

    def __init__(self, name: str, source: GenicamSource, clock: Clock, books: Books | None = None) -> None:
        """`books` are those of the same camera's connections before this object."""
        self._name = name
        self._source = source
        self._clock = clock
        self._books = books or Books()
        self._accounts = Accounts()
        self._session: Session | None = None
        self._ready: deque[Frame | FrameFault] = deque()
        self._epoch = -1
        self._counts: Counter[str] = Counter()
        self._moment_ns = 0  # of the last block or fault
        self._block_lines = 0  # of the tallest block: others were closed early

    def open(self) -> None:
        self.close()
        self._session = open_session(self._name, self._source)
        self._accounts = self._books.turn_over()
        self._counts.update(dict.fromkeys(COUNTED, 0))
        self._epoch += 1

    def grab(self, timeout_s: float) -> Frame | FrameFault | None:
        end_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        while not self._ready:
            if self._session is None:
                raise CameraError(f"{self._name}: is not open; call open first")
            block = self._session.take(max(0.0, (end_ns - self._clock.monotonic_ns()) / 1e9))
            if block is None:
                return None
            self._ready.extend(self._incomplete(block) if block.image is None else self._complete(block))
        return self._ready.popleft()

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def write(self, features: Sequence[FeatureWrite]) -> None:
        """While it gives pictures, from any thread; raises CameraError, also where it is not open."""
        session = self._session
        if session is None:
            raise CameraError(f"{self._name}: is not open; see what is said of the camera")
        session.write(features)

    def stats(self) -> dict[str, int]:
        session = self._session
        return {} if session is None else {**session.statistics(), **self._counts}

    def stream(self) -> Stream | None:
        """None while it is not open."""
        session = self._session
        if session is None:
            return None
        path = session.socket_path
        return Stream(
            socket="usb" if path is None else path.kind,
            warning=None if path is None else path.warning,
            pixel_format=session.pixel_format.name,
            statistics=session.statistics(),
        )

    def _complete(self, block: Block) -> list[Frame | FrameFault]:
        lines = len(block.image)
        self._block_lines = max(self._block_lines, lines)
        place = self._accounts.complete(
            block_id=block.block_id, counter=block.counter, lines=lines, block_lines=self._block_lines
        )
        self._counts["blocks_missing"] += place.blocks_missing
        captured_ns, captured_at = self._moment(block)
        is_line = self._source.scan == "line"
        frame = Frame(
            camera=self._name,
            frame_id=place.frame_id,
            image=block.image,
            captured_ns=captured_ns,
            captured_at=captured_at,
            first_line=place.first_line if is_line else 0,
            encoder=self._accounts.encoder(block.encoder),
            device_ns=block.device_ns,
            epoch=self._epoch,
            line_status=block.line_status,
            lines_lost=place.lines_lost if is_line else 0,
            bit_depth=block.bit_depth,
        )
        return [*self._missing(place.frame_id, place.blocks_missing, block), frame]

    def _incomplete(self, block: Block) -> list[Frame | FrameFault]:
        frame_id, missing = self._accounts.incomplete(block.block_id)
        self._counts["blocks_missing"] += missing
        self._counts["blocks_incomplete"] += 1
        log.debug("block_incomplete", camera=self._name, block_id=block.block_id, problem=block.problem)
        if self._source.scan == "line":
            return []
        detail = f"frame {frame_id} came incomplete ({block.problem})"
        return [*self._missing(frame_id, missing, block), self._fault(frame_id, detail, block)]

    def _missing(self, before: int, count: int, block: Block) -> list[Frame | FrameFault]:
        """The faults of frames that did not come at all."""
        if count:
            log.debug("blocks_missing", camera=self._name, before=before, count=count)
        if self._source.scan == "line" or not count:
            return []
        first = before - count
        single = min(count, MISSING_FAULTS)
        faults: list[Frame | FrameFault] = [
            self._fault(frame_id, f"frame {frame_id} did not arrive", block)
            for frame_id in range(first, first + single)
        ]
        if count > single:
            what = f"frames {first + single} to {before - 1} did not arrive"
            faults.append(self._fault(first + single, what, block))
        return faults

    def _fault(self, frame_id: int, what: str, block: Block) -> FrameFault:
        captured_ns, captured_at = self._moment(block)
        return FrameFault(
            camera=self._name,
            frame_id=frame_id,
            reason="camera_error",
            detail=f"camera {self._name}: {what}; check cable, switch, packet size and network buffers",
            captured_ns=captured_ns,
            captured_at=captured_at,
        )

    def _moment(self, block: Block) -> tuple[int, datetime]:
        """When the block arrived, by the monotonic and by the wall clock; later than the one before it.

        The clocks are read one after the other, and a busy machine may do something else in between.
        """
        now = self._clock.utc_now()
        age_s = now.timestamp() - block.utc_ns / 1e9
        if not 0 <= age_s <= OLDEST_S:
            age_s = 0.0
        arrived_ns = self._clock.monotonic_ns() - round(age_s * 1e9)
        self._moment_ns = max(arrived_ns, self._moment_ns + 1)
        return self._moment_ns, now - timedelta(seconds=age_s)
