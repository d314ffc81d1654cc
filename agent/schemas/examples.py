"""One example of each message that a station sends unasked, made by the models themselves, for readers."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel

from agent.clock import rfc3339
from agent.contract.actuation import Actuation
from agent.contract.events import EventMessage
from agent.contract.head import HEAD_TYPE, Head, HeadStatement, head_of
from agent.contract.mark import Mark
from agent.contract.metrics import STAGES, VERDICTS
from agent.contract.part import PartVerdict, PartView
from agent.contract.payloads import Status, crop_row, encode, verdict_row
from agent.contract.row import Row
from agent.contract.samples import Distribution, Sample, message
from agent.contract.topics import Topics
from agent.contract.verdict import (
    CropRef,
    DefectMessage,
    FrameMessage,
    ModelMessage,
    ScoreMessage,
    SettingsMessage,
    TimingMessage,
    Verdict,
)
from agent.trust.envelope import encoding
from agent.trust.keys import key_id

TOPICS = Topics(site="plant1", area="press", line="l2", station="cell3-cam1")
CAMERA = "top"
RULE = "housing"
WHEN = datetime(2026, 11, 24, 7, 15, 3, 412_000, tzinfo=timezone.utc)
BOOT = "0193586b-3a00-7000-8000-000000000001"
RESULT = "0193586b-3f14-7c3e-9a55-6b1d2f0a7c11"
STAGES_S = (0.0004, 0.0015, 0.0112, 0.0003, 0.0016, 0.006)
IMAGE = b"\xff\xd8\xff\xe0 the bytes of a JPEG \xff\xd9"


def verdict() -> Verdict:
    digest = hashlib.sha256(IMAGE).hexdigest()
    crop = CropRef(crop_id="0193586b-3f15-7a02-8d41-2f6a9c3b5e77", sha256=digest, bytes=len(IMAGE))
    return Verdict(
        result_id=RESULT,
        sequence=184_223,
        boot_id=BOOT,
        station=TOPICS.station,
        camera=CAMERA,
        created=rfc3339(WHEN),
        clock_synced=True,
        verdict="fail",
        result_evaluation="NotOK",
        result_evaluation_code=2,
        reason=None,
        part_id="SN-004711",
        job_id="WO-77",
        score=ScoreMessage(raw=0.0371, threshold=0.031, normalized=119.7),
        defects=(DefectMessage(index=0, score=0.044, bbox_px=(412, 88, 30, 22), area_px=412, crop=crop),),
        frame=FrameMessage(
            id=99_172, first_line=12_693_504, lines=512, lines_lost=0, encoder=882_211, sha256="5e" * 32
        ),
        timing_ms=TimingMessage(
            capture_to_prepared=1.9, queued=0.4, infer=11.2, judge=0.3, capture_to_recorded=15.0
        ),
        model=ModelMessage(bundle="cells", sha256="ab" * 32, engine="openvino-bf16"),
        settings=SettingsMessage(version=12, sha256="cd" * 32),
    )


def verdict_message() -> Row:
    return verdict_row(TOPICS, verdict())


def crop_message() -> Row:
    (defect,) = verdict().defects
    assert defect.crop is not None
    return crop_row(
        TOPICS,
        camera=CAMERA,
        crop_id=defect.crop.crop_id,
        result_id=RESULT,
        defect_index=defect.index,
        bbox_px=defect.bbox_px,
        image=IMAGE,
        sha256=defect.crop.sha256,
        content_type="image/jpeg",
        created=WHEN,
    )


def event() -> EventMessage:
    return EventMessage(
        event_id="0193586b-4a10-7b6d-8c21-4e5f60718293",
        event="row_refused",
        severity="alarm",
        created=rfc3339(WHEN),
        boot_id=BOOT,
        station=TOPICS.station,
        detail="the broker said Not authorized (0x87)",
        data={"id": RESULT, "kind": "verdict"},
    )


def head() -> Head:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    statement = HeadStatement(
        head_id="0193586c-2f10-7a4b-8d1e-2c3f4a5b6c7d",
        station=TOPICS.station,
        boot_id=BOOT,
        created=rfc3339(WHEN.replace(minute=16)),
        clock_synced=True,
        reason="minute",
        segment="5f1d0c7a9b3e2846",
        number=184_301,
        link=hashlib.sha256(b"link").hexdigest(),
        first=90_122,
        key=key.public_key().public_bytes_raw().hex(),
    )
    signature = key.sign(encoding(encode(statement), HEAD_TYPE))
    return head_of(statement, keyid=key_id(key.public_key()), signature=signature)


def mark() -> Mark:
    told = verdict()
    return Mark(
        mark_id="0193586c-11f0-7d3c-9b0a-5d2f7e8a9c44",
        sequence=57,
        boot_id=BOOT,
        station=TOPICS.station,
        created=rfc3339(WHEN.replace(minute=18)),
        says="right",
        truth="defective",
        label="scratch",
        defect_index=0,
        who="shift lead",
        way="page",
        picture="kept",
        result_id=RESULT,
        camera=CAMERA,
        verdict=told.verdict,
        result_sequence=told.sequence,
        result_boot_id=told.boot_id,
        result_created=told.created,
        recipe_id=told.recipe_id,
        bundle_sha256=told.model.sha256,
        part_id=told.part_id,
        job_id=told.job_id,
        score=told.score,
    )


def actuation() -> Actuation:
    told = verdict()
    return Actuation(
        actuation_id="0193586b-4a02-7e1c-8d11-2b9e6f0c7d55",
        sequence=318,
        boot_id=BOOT,
        station=TOPICS.station,
        output="reject",
        created=rfc3339(WHEN.replace(second=4)),
        action="reject",
        cause="verdict",
        is_late=False,
        lateness_ms=0.8,
        camera=CAMERA,
        frame_id=told.frame.id,
        result_id=RESULT,
        verdict=told.verdict,
        part_id=told.part_id,
    )


def part() -> PartVerdict:
    told = verdict()
    assert told.score is not None
    side = "0193586b-3f1a-7d52-8b06-90a1b2c3d4e5"
    return PartVerdict(
        result_id="6a3f0a55-7a0e-5a4f-9d5e-3a1c8be0f7d2",
        sequence=61_404,
        boot_id=BOOT,
        station=TOPICS.station,
        rule=RULE,
        created=rfc3339(WHEN.replace(microsecond=431_000)),
        clock_synced=True,
        verdict="fail",
        result_evaluation="NotOK",
        result_evaluation_code=2,
        reason=None,
        part_id=told.part_id,
        job_id=told.job_id,
        by="encoder",
        key="882211",
        cameras=(CAMERA, "side"),
        views=(
            PartView(
                camera=CAMERA,
                result_id=told.result_id,
                sequence=told.sequence,
                boot_id=told.boot_id,
                verdict=told.verdict,
                score=told.score.normalized,
                defects=len(told.defects),
                frame_id=told.frame.id,
                encoder=told.frame.encoder,
            ),
            PartView(
                camera="side",
                result_id=side,
                sequence=told.sequence + 1,
                boot_id=told.boot_id,
                verdict="pass",
                score=41.3,
                frame_id=99_170,
                encoder=884_612,
            ),
        ),
    )


def status() -> Status:
    return Status(
        state="online",
        reason=None,
        station=TOPICS.station,
        boot_id=BOOT,
        versions={"plumbline": "0.1.0"},
        bundle_sha256="ab" * 32,
        settings_sha256="cd" * 32,
        engine="openvino-bf16",
        since=rfc3339(WHEN),
    )


def metrics() -> dict[str, Any]:
    return message(
        [
            Sample("frames", 1, (CAMERA,)),
            *(Sample("verdicts", int(name == "fail"), (CAMERA, name)) for name in VERDICTS),
            *(
                Sample("stage_seconds", Distribution().with_value(seconds), (CAMERA, stage))
                for stage, seconds in zip(STAGES, STAGES_S, strict=True)
            ),
            Sample("inspect_seconds", Distribution().with_value(0.0112)),
            Sample("capture_to_recorded_seconds", Distribution().with_value(0.015)),
            Sample("outbox_rows", 2),
            Sample("outbox_bytes", 19_000),
            Sample("outbox_oldest_seconds", 0.2),
            *(Sample("outbox_reader_rows", rows, (name,)) for name, rows in (("mqtt", 2), ("archive", 40))),
            Sample("outbox_reader_oldest_seconds", 0.2, ("mqtt",)),
            Sample("outbox_reader_oldest_seconds", 12.5, ("archive",)),
            *(Sample("outbox_reader_refused", rows, (name,)) for name, rows in (("mqtt", 0), ("archive", 1))),
        ]
    )


def plain(message: BaseModel) -> Any:
    """A message as a reader parses it."""
    return json.loads(encode(message))
