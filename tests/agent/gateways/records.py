"""Rows as the agent makes them, and an honest Records in memory that can fail on cue."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone

from agent.clock import Clock, SystemClock, rfc3339
from agent.contract.events import EventMaker
from agent.contract.part import PartVerdict, PartView, part_row
from agent.contract.payloads import crop_row, verdict_row
from agent.contract.row import Row, Waiting
from agent.contract.verdict import (
    EVALUATION,
    FrameMessage,
    ModelMessage,
    ScoreMessage,
    SettingsMessage,
    TimingMessage,
    Verdict,
)
from agent.gateways.gateway import Gateway, Sink, Unacceptable
from agent.messages import VerdictName
from tests.agent.outbox.rows import TOPICS

MORNING = datetime(2026, 11, 24, 7, 15, 3, 412000, tzinfo=timezone.utc)
SCORE = ScoreMessage(raw=0.0371, threshold=0.031, normalized=119.7)
JPEG = b"\xff\xd8\xff picture \xff\xd9"


def result_id(number: int) -> str:
    return f"019ab000-0000-7000-8000-{number:012d}"


def verdict(
    number: int,
    *,
    camera: str = "top",
    name: VerdictName = "fail",
    created: datetime = MORNING,
    score: ScoreMessage | None = SCORE,
    part_id: str | None = None,
    replayed: bool = False,
) -> Row:
    evaluation, code = EVALUATION[name]
    return verdict_row(
        TOPICS,
        Verdict.model_validate(
            {
                "result_id": result_id(number),
                "sequence": number,
                "boot_id": "boot-1",
                "station": TOPICS.station,
                "camera": camera,
                "created": rfc3339(created),
                "clock_synced": True,
                "verdict": name,
                "result_evaluation": evaluation,
                "result_evaluation_code": code,
                "reason": None,
                "part_id": part_id,
                "replayed": replayed,
                "score": score,
                "frame": FrameMessage(
                    id=number, first_line=0, lines=32, lines_lost=0, encoder=None, sha256=None
                ),
                "timing_ms": TimingMessage(capture_to_recorded=12.5),
                "model": ModelMessage(bundle="cells", sha256="ab" * 32, engine="fake"),
                "settings": SettingsMessage(version=1, sha256="cd" * 32),
            }
        ),
    )


def part(
    number: int, *, rule: str = "housing", missing: tuple[str, ...] = (), created: datetime = MORNING
) -> Row:
    """A part that `top` failed, or, with cameras missing, that `top` passed alone."""
    failed = not missing
    view = PartView(
        camera="top",
        result_id=result_id(number),
        sequence=number,
        boot_id="boot-1",
        verdict="fail" if failed else "pass",
        score=119.7 if failed else 41.0,
        defects=int(failed),
        frame_id=number,
    )
    other = view.model_copy(
        update={"camera": "bottom", "result_id": result_id(number + 1), "verdict": "pass"}
    )
    return part_row(
        TOPICS,
        PartVerdict(
            result_id=f"019ab000-0000-5000-8000-{number:012d}",
            sequence=number,
            boot_id="boot-1",
            station=TOPICS.station,
            rule=rule,
            created=rfc3339(created),
            clock_synced=True,
            verdict="fail" if failed else "undecided",
            result_evaluation="NotOK" if failed else "NotDecidable",
            result_evaluation_code=2 if failed else 3,
            reason=None if failed else "view_missing",
            part_id=f"SN{number}",
            by="part_id",
            key=f"SN{number}",
            cameras=("top", "bottom"),
            missing=missing,
            views=(view, other) if failed else (view,),
        ),
    )


def crop(
    number: int,
    *,
    crop_id: str = "c1",
    of: str | None = None,
    content_type: str = "image/jpeg",
    created: datetime = MORNING,
) -> Row:
    return crop_row(
        TOPICS,
        camera="top",
        crop_id=crop_id,
        result_id=of or result_id(number),
        defect_index=0,
        bbox_px=(412, 88, 30, 22),
        image=JPEG,
        sha256=hashlib.sha256(JPEG).hexdigest(),
        content_type=content_type,
        created=created,
    )


def event(number: int, clock: Clock) -> Row:
    maker = EventMaker(TOPICS, boot_id="boot-1", clock=clock, new_id=lambda: f"event-{number}")
    return maker.row("crop_evicted", "warning", "a crop is gone", result_id=result_id(number))


def waiting(rows: Sequence[Row], first_seq: int = 1) -> tuple[Waiting, ...]:
    return tuple(Waiting(seq=seq, row=row) for seq, row in enumerate(rows, first_seq))


class FakeRecords:
    """Keeps Records' promises, and insists that the cursor never goes back or past what was shown."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self.cursor = 0
        self.rows: list[Waiting] = list(waiting(rows))
        self.fails: Exception | None = None  # raised once, by the next `advance`
        self._shown = 0
        self._lock = threading.Lock()

    def commit(self, *rows: Row) -> None:
        with self._lock:
            self.rows.extend(waiting(rows, len(self.rows) + 1))

    def next(self, limit: int) -> tuple[Waiting, ...]:
        with self._lock:
            found = tuple(self.rows[self.cursor : self.cursor + limit])
        self._shown = found[-1].seq if found else self.cursor
        return found

    def advance(self, seq: int) -> None:
        assert self.cursor < seq <= self._shown
        if self.fails is not None:
            fails, self.fails = self.fails, None
            raise fails
        self.cursor = seq


def gateway(
    records: FakeRecords,
    sink: Sink,
    *,
    clock: Clock | None = None,
    on_unacceptable: Callable[[Unacceptable], None] = lambda unacceptable: None,
) -> Gateway:
    return Gateway(
        "one",
        records,
        sink,
        clock=clock or SystemClock(),
        rng=random.Random(1),
        on_unacceptable=on_unacceptable,
    )


def later(days: int) -> datetime:
    return MORNING + timedelta(days=days)
