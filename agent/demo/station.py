"""A day of verdicts for whoever connects a broker or an MES: without camera or model, with the real uplink.

The day is played through the agent's own outbox, courier and link, so that topics, payloads,
order and behaviour without a broker are those of a station. Every verdict says `is_simulated`.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version

import cv2
import numpy as np

from agent.chain.notary import key_file
from agent.clock import Clock, new_uuid7, rfc3339
from agent.contract.payloads import Status, StatusName, crop_row, encode, verdict_row
from agent.contract.row import Row
from agent.contract.topics import Topics
from agent.contract.verdict import (
    EVALUATION,
    CropRef,
    DefectMessage,
    FrameMessage,
    ModelMessage,
    ScoreMessage,
    SettingsMessage,
    TimingMessage,
    Verdict,
)
from agent.demo.day import FRAME_PX, Piece
from agent.messages import Box, VerdictName
from agent.remote import remote
from agent.remote.commands.admission import turn_away
from agent.remote.remote import Remote
from agent.settings.settings import Settings
from agent.teach.weighing import weigh
from agent.uplink.make import make_uplink
from agent.uplink.uplink import Uplink

THRESHOLD = 0.031
WATCH_EVERY_S = 1.0
STALLED_S = 10.0  # nothing was delivered for so long: whatever waits will wait
DIGEST = hashlib.sha256(b"simulated").hexdigest()


@dataclass(slots=True)
class Played:
    """What was committed, and what of it still waits for the broker."""

    verdicts: Counter[VerdictName] = field(default_factory=Counter)
    crops: int = 0
    first_sequence: int = 0
    last_sequence: int = 0
    waiting: int = 0


class Script:
    """Turns pieces of a day into the rows of one station; ids come from `new_id`, pictures from the seed."""

    def __init__(
        self, topics: Topics, *, boot_id: str, seed: int, began: datetime, new_id: Callable[[], str]
    ) -> None:
        self._topics = topics
        self._boot_id = boot_id
        self._began = began
        self._new_id = new_id
        self._rng = np.random.default_rng(seed)

    def rows(self, piece: Piece, sequence: int) -> list[Row]:
        """The verdict, then its crops."""
        created = self._began + timedelta(seconds=piece.at_s)
        result_id = self._new_id()
        pictures = [(self._new_id(), box, draw(box, self._rng)) for box in piece.boxes]
        rows = [verdict_row(self._topics, self._verdict(piece, sequence, created, result_id, pictures))]
        for index, (crop_id, box, image) in enumerate(pictures):
            rows.append(
                crop_row(
                    self._topics,
                    camera=piece.camera,
                    crop_id=crop_id,
                    result_id=result_id,
                    defect_index=index,
                    bbox_px=box,
                    image=image,
                    sha256=hashlib.sha256(image).hexdigest(),
                    content_type="image/jpeg",
                    created=created,
                )
            )
        return rows

    def _verdict(
        self,
        piece: Piece,
        sequence: int,
        created: datetime,
        result_id: str,
        pictures: list[tuple[str, Box, bytes]],
    ) -> Verdict:
        evaluation, code = EVALUATION[piece.verdict]
        judged = piece.normalized is not None
        infer_ms = round(float(self._rng.normal(11, 0.6)), 3)
        return Verdict.model_validate(
            {
                "result_id": result_id,
                "sequence": sequence,
                "boot_id": self._boot_id,
                "station": self._topics.station,
                "camera": piece.camera,
                "created": rfc3339(created),
                "clock_synced": None,
                "verdict": piece.verdict,
                "result_evaluation": evaluation,
                "result_evaluation_code": code,
                "reason": piece.reason,
                "detail": None if piece.reason is None else "simulated",
                "is_simulated": True,
                "part_id": f"SIM-{piece.part:06d}",
                "score": _score(piece),
                "defects": [
                    DefectMessage(
                        index=index,
                        score=THRESHOLD,
                        bbox_px=box,
                        area_px=max(1, box[2] * box[3] // 2),
                        crop=CropRef(
                            crop_id=crop_id, sha256=hashlib.sha256(image).hexdigest(), bytes=len(image)
                        ),
                    )
                    for index, (crop_id, box, image) in enumerate(pictures)
                ],
                "frame": FrameMessage(
                    id=piece.part, first_line=0, lines=FRAME_PX[1], lines_lost=0, encoder=None, sha256=None
                ),
                "timing_ms": TimingMessage(
                    infer=infer_ms if judged else None, capture_to_recorded=round(infer_ms + 4, 3)
                ),
                "model": ModelMessage(bundle="simulated", sha256=DIGEST, engine="none"),
                "settings": SettingsMessage(version=1, sha256=DIGEST),
            }
        )


def draw(box: Box, rng: np.random.Generator) -> bytes:
    """A grey patch of the box's size with a dark scratch, as JPEG."""
    width, height = box[2], box[3]
    patch = rng.normal(150, 8, (height, width))
    ends = [(int(rng.integers(width)), int(rng.integers(height))) for _ in range(2)]
    picture = np.clip(patch, 0, 255).astype(np.uint8)
    cv2.line(picture, ends[0], ends[1], 40, 2, cv2.LINE_AA)
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert done
    return bytes(data.tobytes())


def simulate(
    pieces: Iterable[Piece],
    *,
    station: Settings,
    hours: float,
    speed: float,
    seed: int,
    clock: Clock,
    stop: threading.Event,
) -> Played:
    """Play until the day ends, then deliver what waits; `stop` ends either.

    The day is dated so that it ends now. Of `station`, identity, broker, outbox and delivery count. Raises
    the first failure of any part of the uplink.
    """
    boot_id = new_uuid7(clock)
    name = station.identity.station
    said = remote.open_said(station, clock)
    up = make_uplink(
        station,
        boot_id=boot_id,
        last_will=_status(name, boot_id, "offline", "connection lost", None),
        clock=clock,
        new_id=lambda: new_uuid7(clock),
        turn_away=turn_away,
        bind=said.bindings.bind,
        key=key_file(station.outbox.path),
    )
    asked = remote.build(
        up, station, said, clock, threshold=lambda camera: THRESHOLD, in_force=dict, weigh=weigh
    )
    started = clock.utc_now()
    script = Script(
        up.events.topics,
        boot_id=boot_id,
        seed=seed,
        began=started - timedelta(hours=hours - hours / speed),
        new_id=lambda: new_uuid7(clock),
    )
    with ExitStack() as last:
        last.callback(lambda: up.stop(_status(name, boot_id, "stopped", None, rfc3339(clock.utc_now()))))
        up.start()
        last.callback(asked.stop)
        asked.start()
        up.link.publish_status(_status(name, boot_id, "online", None, rfc3339(started)))
        played = _play(pieces, script, up, asked, speed, clock, stop)
        _drain(up, clock, stop)
        up.watch()
        asked.watch()
        played.waiting = up.outbox.depth().rows
    return played


def _play(
    pieces: Iterable[Piece],
    script: Script,
    up: Uplink,
    asked: Remote,
    speed: float,
    clock: Clock,
    stop: threading.Event,
) -> Played:
    began_ns = watched_ns = clock.monotonic_ns()
    sequence = up.outbox.last_sequence()
    played = Played(first_sequence=sequence + 1)
    for piece in pieces:
        now_ns = clock.monotonic_ns()
        if now_ns - watched_ns >= WATCH_EVERY_S * 1e9:
            up.watch()
            asked.watch()
            watched_ns = now_ns
        due_s = piece.at_s / speed - (now_ns - began_ns) / 1e9
        if stop.wait(max(due_s, 0)) or up.outbox.failure is not None:
            break
        sequence += 1
        rows = script.rows(piece, sequence)
        up.outbox.append(rows)
        played.verdicts[piece.verdict] += 1
        played.crops += len(rows) - 1
    up.outbox.append([]).result()  # all before it is committed now, or this raises why not
    played.last_sequence = up.outbox.last_sequence()
    return played


def _drain(up: Uplink, clock: Clock, stop: threading.Event) -> None:
    """Wait while what is left gets less."""
    left, moved_ns = up.outbox.depth().rows, clock.monotonic_ns()
    while up.link.state.connected and left and clock.monotonic_ns() - moved_ns < STALLED_S * 1e9:
        if stop.wait(0.05):
            return
        rows = up.outbox.depth().rows
        if rows != left:
            left, moved_ns = rows, clock.monotonic_ns()


def _score(piece: Piece) -> ScoreMessage | None:
    if piece.normalized is None:
        return None
    raw = THRESHOLD * piece.normalized / 100
    return ScoreMessage(raw=raw, threshold=THRESHOLD, normalized=piece.normalized)


def _status(station: str, boot_id: str, state: StatusName, reason: str | None, since: str | None) -> bytes:
    return encode(
        Status(
            state=state,
            reason=reason,
            station=station,
            boot_id=boot_id,
            versions={"plumbline": version("plumbline")},
            bundle_sha256=None,
            settings_sha256=None,
            since=since,
        )
    )
