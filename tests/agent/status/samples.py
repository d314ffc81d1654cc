"""Verdicts and pictures for tests of the status room, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from agent.clock import Clock
from agent.contract.verdict import (
    EVALUATION,
    DefectMessage,
    FrameMessage,
    ModelMessage,
    ScoreMessage,
    SettingsMessage,
    TimingMessage,
    Verdict,
)
from agent.messages import Box, Floats, Pixels, VerdictName
from agent.status.board import Board
from agent.status.snapshot import Serving

THRESHOLD = 0.031


def verdict(
    number: int,
    name: VerdictName = "pass",
    *,
    camera: str = "top",
    normalized: float = 60.0,
    boxes: tuple[Box, ...] = (),
    reason: str | None = None,
    part_id: str | None = None,
    first_line: int = 0,
    recorded_ms: float = 15.0,
) -> Verdict:
    """The record of frame `number`."""
    evaluation: Any
    evaluation, code = EVALUATION[name]
    raw = THRESHOLD * normalized / 100
    judged = name != "skipped"
    return Verdict(
        schema="plumbline.verdict/1",
        result_id=f"0192-{camera}-{number}",
        sequence=number + 1,
        boot_id="boot",
        station="cell3-cam1",
        camera=camera,
        created=f"2026-11-22T07:15:{number % 60:02d}.412Z",
        clock_synced=True,
        verdict=name,
        result_evaluation=evaluation,
        result_evaluation_code=code,
        reason=reason,
        detail=None,
        part_id=part_id,
        score=ScoreMessage(raw=raw, threshold=THRESHOLD, normalized=normalized) if judged else None,
        defects=tuple(
            DefectMessage(index=index, score=raw, bbox_px=box, area_px=max(1, box[2] * box[3] // 2))
            for index, box in enumerate(boxes)
        ),
        frame=FrameMessage(
            id=number, first_line=first_line, lines=256, lines_lost=0, encoder=None, sha256=None
        ),
        timing_ms=TimingMessage(
            queued=None, infer=recorded_ms * 0.7 if judged else None, capture_to_recorded=recorded_ms
        ),
        model=ModelMessage(bundle="cells-1", sha256="ab" * 32, engine="openvino-bf16"),
        settings=SettingsMessage(version=1, sha256="cd" * 32),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A procedural wafer-like part: as seen, as it should be, and the evidence between."""

    image: Pixels
    restored: Pixels
    evidence: Floats
    box: Box


@lru_cache(maxsize=128)
def part(seed: int, *, width: int = 300, height: int = 300) -> Part:
    """A grey part with busbars and one dark scratch; evidence peaks at 1.6 thresholds."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    good = 150 + 25 * np.cos(x / width * 3) * np.sin(y / height * 3)
    good -= 60 * (np.abs((x % (width / 3)) - width / 6) < 3)
    grain = cv2.GaussianBlur(rng.normal(0, 30, (height, width)).astype(np.float32), (0, 0), 1.5)
    clean = np.clip(good + grain, 0, 255)
    cx, cy = rng.integers(width // 5, 4 * width // 5), rng.integers(height // 5, 4 * height // 5)
    length = min(width, height) // 6
    scratch = np.zeros((height, width), np.float32)
    cv2.line(
        scratch, (int(cx - length), int(cy - length // 2)), (int(cx + length), int(cy + length // 2)), 1.0, 4
    )
    soft = cv2.GaussianBlur(scratch, (0, 0), min(width, height) / 40)
    evidence = soft / soft.max() * 1.6 * THRESHOLD
    evidence += np.abs(cv2.GaussianBlur(rng.normal(0, 0.1, scratch.shape), (0, 0), 6)) * THRESHOLD
    box = (int(cx - length), int(cy - length // 2), 2 * length, length)
    made = Part(
        image=np.clip(clean - 90 * cv2.GaussianBlur(scratch, (0, 0), 1.2), 0, 255).astype(np.uint8)[
            :, :, None
        ],
        restored=cv2.GaussianBlur(clean, (0, 0), 1.0).astype(np.uint8)[:, :, None],
        evidence=cv2.resize(evidence, (width // 4, height // 4), interpolation=cv2.INTER_AREA).astype(
            np.float32
        ),
        box=box,
    )
    for shared in (made.image, made.restored, made.evidence):
        shared.setflags(write=False)
    return made


def streaming_board(clock: Clock) -> Board:
    """Of a station that serves, with a camera that gives frames and a broker."""
    board = Board(
        station="cell3-cam1",
        version="0.1.0",
        clock=clock,
        serving=lambda: Serving(
            engine="openvino-bf16", bundle="cells-1", bundle_sha256="ab" * 32, threshold=THRESHOLD
        ),
    )
    board.camera_state("top", "streaming")
    board.link_state("connected")
    return board
