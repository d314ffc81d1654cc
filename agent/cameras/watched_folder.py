"""A folder that somebody fills, such as a camera by FTP: each file is one trigger, once, when it is whole."""

from __future__ import annotations

import os
import stat
from collections import deque
from pathlib import Path

from agent.cameras.arrivals import Arrivals, Place, Stamp
from agent.cameras.camera import CameraError, fault_now
from agent.cameras.images import ImageError, is_picture, read_image
from agent.cameras.pace import Pace
from agent.clock import Clock
from agent.foreign import shown, stored
from agent.messages import Frame, FrameFault
from agent.settings.camera import FolderSource

POLL_S = 0.25
LISTING_SHARE = 0.1  # of the time, at most; a long listing is made less often
MAX_FILES = 100_000


class WatchedFolderCamera:
    """Polls, and so works on network disks; hidden files and other suffixes are left alone.

    Nothing is remembered beyond the process: files that lie there at its start are triggers, too.
    """

    def __init__(self, name: str, source: FolderSource, clock: Clock, arrivals: Arrivals) -> None:
        self._name = name
        self._source = source
        self._clock = clock
        self._arrivals = arrivals
        self._pace = Pace(source.rate_hz, clock)
        self._look_ns = 0
        self._ready: deque[tuple[Place, Stamp]] = deque()  # from the last look, the oldest first
        self._frame_id = 0

    def open(self) -> None:
        self._look()

    def grab(self, timeout_s: float) -> Frame | FrameFault | None:
        if not self._ready and self._clock.monotonic_ns() >= self._look_ns:
            self._look()
        while self._ready:
            if not self._pace.wait(timeout_s):
                return None
            item = self._trigger(*self._ready.popleft())
            if item is not None:
                return item
        self._clock.sleep(min(timeout_s, POLL_S))
        return None

    def close(self) -> None:
        """Nothing is held open."""

    def _look(self) -> None:
        began_ns = self._clock.monotonic_ns()
        path = self._source.path
        found: dict[str, Stamp] = {}
        try:
            device = path.stat().st_dev
            with os.scandir(path) as entries:
                for entry in entries:
                    if is_picture(entry.name) and (stamp := _stamp(Path(entry.path))) is not None:
                        found[entry.name] = stamp
        except OSError as error:
            raise CameraError(
                f"{shown(str(path))}: cannot be listed ({error.strerror}); bring it back or set source.path"
            ) from error
        if len(found) > MAX_FILES:
            raise CameraError(
                f"{shown(str(path))}: holds more than {MAX_FILES} images; remove those that were judged"
            )
        now_ns = self._clock.monotonic_ns()
        self._arrivals.look(device, found, now_ns)
        self._ready = deque(self._arrivals.settled(now_ns))
        self._look_ns = now_ns + max(round(POLL_S * 1e9), round((now_ns - began_ns) / LISTING_SHARE))

    def _trigger(self, place: Place, stamp: Stamp) -> Frame | FrameFault | None:
        """None while the file is not whole yet."""
        file = self._source.path / place.name
        try:
            image = read_image(file, self._source.max_megapixels)
        except ImageError as error:
            now = _stamp(file)
            if now is None:
                return self._fault(place, f"{shown(str(file))}: was removed before it was judged")
            if now != stamp or not self._arrivals.is_stuck(place, self._clock.monotonic_ns()):
                return None
            return self._fault(place, str(error))
        if _stamp(file) not in (stamp, None):  # it was written to while it was read
            return None
        self._arrivals.gave(place)
        frame = Frame(
            camera=self._name,
            frame_id=self._frame_id,
            image=image,
            captured_ns=self._clock.monotonic_ns(),
            captured_at=self._clock.utc_now(),
            part_id=stored(file.stem),
        )
        self._frame_id += 1
        return frame

    def _fault(self, place: Place, detail: str) -> FrameFault:
        self._arrivals.gave(place)
        part_id = stored(Path(place.name).stem)
        fault = fault_now(self._name, self._frame_id, detail, self._clock, part_id=part_id)
        self._frame_id += 1
        return fault


def _stamp(file: Path) -> Stamp | None:
    """None for what is no file, or no longer."""
    try:
        found = file.stat()
    except OSError:
        return None
    return Stamp(found.st_mtime_ns, found.st_size) if stat.S_ISREG(found.st_mode) else None
