"""The latest picture of each camera, for whoever asks: kept by reference, encoded when it is asked for."""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from pydantic import JsonValue

from agent.clock import Clock, rfc3339
from agent.contract.commands import NotDoneError
from agent.contract.verdict import Verdict
from agent.line.publish import Recorded
from agent.messages import Frame, Item, Pixels

LONGEST_EDGE_PX = 2048
AT_ONCE, WITHIN_S = 5, 1.0  # more would hold up the line, and what else is asked
QUALITIES = (88, 75, 60, 45)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """What a line has seen last; nobody writes into the picture."""

    item: Item
    picture: Pixels
    verdict: Verdict


class Snapshots:
    """A listener of records; `latest` is for one thread, whichever it is."""

    def __init__(self, cameras: Sequence[str]) -> None:
        self._cameras = tuple(cameras)
        self._shots: dict[str, Shot] = {}
        self._given_ns: deque[int] = deque(maxlen=AT_ONCE)

    def recorded(self, told: Recorded) -> None:
        """A trigger that gave no picture leaves the one before."""
        if told.picture is not None:
            self._shots[told.verdict.camera] = Shot(
                item=told.item, picture=told.picture, verdict=told.verdict
            )

    def latest(self, camera: str | None, now_ns: int) -> Shot:
        """Of the station's only camera where none is named. Raises NotDoneError, also where too many ask."""
        known = ", ".join(self._cameras)
        if camera is None and len(self._cameras) > 1:
            raise NotDoneError("bad_arguments", f"camera: name one of {known}")
        name = self._cameras[0] if camera is None else camera
        if name not in self._cameras:
            raise NotDoneError("bad_arguments", f"camera: no camera {name[:64]!r}; there are {known}")
        shot = self._shots.get(name)
        if shot is None:
            raise NotDoneError(
                "not_found",
                f"camera {name} has given no picture since the agent started; see the station's status",
            )
        given = self._given_ns
        if len(given) == AT_ONCE and now_ns - given[0] < WITHIN_S * 1e9:
            raise NotDoneError("busy", f"{AT_ONCE} pictures were given within a second; ask again later")
        given.append(now_ns)
        return shot


def answer_of(shot: Shot, *, max_bytes: int, clock: Clock) -> Mapping[str, JsonValue]:
    """The picture as JPEG within `max_bytes`, and what it shows."""
    jpeg, height, width = _jpeg(shot.picture, max_bytes)
    verdict, frame = shot.verdict, shot.item if isinstance(shot.item, Frame) else None
    return {
        "camera": verdict.camera,
        "jpeg": base64.b64encode(jpeg).decode(),
        "sha256": hashlib.sha256(jpeg).hexdigest(),
        "width": width,
        "height": height,
        "frame_width": None if frame is None else frame.image.shape[1],
        "frame_height": None if frame is None else frame.image.shape[0],
        "captured": rfc3339(shot.item.captured_at),
        "age_s": round((clock.monotonic_ns() - shot.item.captured_ns) / 1e9, 3),
        "result_id": verdict.result_id,
        "sequence": verdict.sequence,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
    }


def _jpeg(picture: Pixels, max_bytes: int) -> tuple[bytes, int, int]:
    """First at lower quality, then smaller; its bytes, height and width."""
    edge_px = LONGEST_EDGE_PX
    while True:
        small = _shrunk(picture, edge_px)
        ordered = np.ascontiguousarray(small[..., ::-1])  # OpenCV writes BGR; mono is its own reverse
        for quality in QUALITIES:
            done, data = cv2.imencode(".jpg", ordered, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if done and len(data) <= max_bytes:
                return data.tobytes(), small.shape[0], small.shape[1]
        edge_px = min(edge_px, max(small.shape[:2])) * 7 // 10


def _shrunk(picture: Pixels, edge_px: int) -> Pixels:
    height, width = picture.shape[:2]
    scale = edge_px / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8).reshape(
        size[1], size[0], picture.shape[2]
    )
