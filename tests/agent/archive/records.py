"""Records as the line makes them, to be archived."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone

import numpy as np

from agent.archive import entry
from agent.archive.entry import Head
from agent.clock import rfc3339
from agent.contract.verdict import (
    EVALUATION,
    FrameMessage,
    ModelMessage,
    ScoreMessage,
    SettingsMessage,
    TimingMessage,
    Verdict,
)
from agent.messages import Floats, Frame, Inspection, Pixels, Samples, VerdictName
from agent.settings.archive import Archive

MORNING = datetime(2026, 11, 24, 7, 15, 3, 412_000, tzinfo=timezone.utc)
RECIPE = "ef" * 32
LIMITS = Archive(min_free_bytes=0, pass_share=1.0)


def limits(**changes: object) -> Archive:
    """Small ones are not checked: tests fill a folder in a moment."""
    return LIMITS.model_copy(update=changes)


def picture(
    shape: tuple[int, int, int] = (40, 60, 1), *, dtype: type = np.uint8, bits: int = 8, seed: int = 0
) -> Samples:
    values = np.random.default_rng(seed).integers(0, 1 << bits, shape)
    return np.asarray(values, dtype)


def frame(image: Samples, *, bit_depth: int = 8, **more: object) -> Frame:
    told: dict[str, object] = {
        "camera": "top",
        "frame_id": 99_172,
        "captured_ns": 5,
        "captured_at": MORNING,
        "first_line": 12_693_504,
        "encoder": 882_211,
        "device_ns": 77,
        "epoch": 2,
        "line_status": 5,
        "part_id": "part 7",
        **more,
    }
    return Frame(image=image, bit_depth=bit_depth, **told)  # type: ignore[arg-type]


def inspection(evidence: Floats, restored: Pixels | None = None) -> Inspection:
    scores = evidence.max(keepdims=True).reshape(1)
    return Inspection(scores=scores, evidence=evidence, restored=restored, started_ns=0, finished_ns=1)


def evidence(shape: tuple[int, int] = (10, 15), seed: int = 0) -> Floats:
    return np.asarray(np.random.default_rng(seed).random(shape), np.float32)


def result_id(number: int) -> str:
    return f"01900000-0000-7000-8000-{number:012d}"


def verdict(
    number: int = 1,
    *,
    of: Frame | None = None,
    name: VerdictName = "fail",
    camera: str = "top",
    score: float | None = 0.0371,
    at: datetime | None = None,
    part_id: str | None = "part 7",
) -> Verdict:
    """Of the frame `of`, one second after the one before."""
    word, code = EVALUATION[name]
    pixels = None if of is None else hashlib.sha256(np.ascontiguousarray(of.image).data).hexdigest()
    return Verdict(
        result_id=result_id(number),
        sequence=number,
        boot_id="boot-1",
        station="cell3-cam1",
        camera=camera,
        created=rfc3339(at or MORNING + timedelta(seconds=number)),
        clock_synced=True,
        verdict=name,
        result_evaluation=word,  # type: ignore[arg-type]
        result_evaluation_code=code,
        reason=None if name in ("pass", "fail") else "lost_lines",
        part_id=part_id,
        score=None if score is None else ScoreMessage(raw=score, threshold=0.031, normalized=119.7),
        frame=FrameMessage(
            id=99_172,
            first_line=12_693_504,
            lines=0 if of is None else len(of.image),
            lines_lost=0 if of is None else of.lines_lost,
            encoder=882_211,
            sha256=pixels,
        ),
        timing_ms=TimingMessage(capture_to_recorded=15.0),
        model=ModelMessage(bundle="cells", sha256="ab" * 32, engine="fake-f32"),
        settings=SettingsMessage(version=12, sha256="cd" * 32),
    )


def record(
    number: int = 1, *, size: tuple[int, int, int] = (40, 60, 1), **more: object
) -> tuple[Head, list[bytes | memoryview]]:
    """What a shelf is given."""
    seen = frame(picture(size, seed=number))
    said = verdict(number, of=seen, **more)  # type: ignore[arg-type]
    return entry.head_of(said, RECIPE), entry.compose(said, RECIPE, seen, inspection(evidence(seed=number)))
