"""The snapshot as `plumbline.page/1`, the JSON that the page draws."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from agent.clock import rfc3339
from agent.contract.verdict import Verdict
from agent.status.health import assess, broker_words, camera_words
from agent.status.snapshot import CameraView, Latency, Reject, Serving, Snapshot, StripFrame
from agent.status.work import Tally

STRIP_TOLD = 8


def state(snapshot: Snapshot) -> dict[str, Any]:
    """Plain JSON values; pictures are addresses relative to the page."""
    link, outbox = snapshot.link, snapshot.outbox
    decided = snapshot.counts["pass"] + snapshot.counts["fail"]
    return {
        "schema": "plumbline.page/1",
        **standing(snapshot),
        "verdicts": dict(snapshot.counts),
        "reject_ratio": snapshot.counts["fail"] / decided if decided else None,
        "latency_ms": {
            "capture_to_recorded": latency_of(snapshot.capture_to_recorded),
            "infer": latency_of(snapshot.infer),
        },
        "broker": {"state": link.state, "for_s": link.for_s, "words": broker_words(link, outbox)},
        "outbox": {
            "rows": outbox.rows,
            "bytes": outbox.size_bytes,
            "oldest_s": outbox.oldest_s,
            "readers": [asdict(reader) for reader in outbox.readers],
        },
        "cameras": [_camera(camera) for camera in snapshot.cameras],
        "rejects": [_reject(reject) for reject in snapshot.rejects],
    }


def standing(snapshot: Snapshot) -> dict[str, Any]:
    """How the station stands, in plain JSON values."""
    health = assess(snapshot)
    return {
        "station": snapshot.station,
        "version": snapshot.version,
        "now": rfc3339(snapshot.now),
        "started": rfc3339(snapshot.started),
        "up_s": snapshot.up_s,
        "health": {"state": health.state, "reasons": list(health.reasons)},
        "model": model_of(snapshot.serving),
        "last_minute": work_of([camera.work.tally for camera in snapshot.cameras]),
    }


def model_of(serving: Serving | None) -> dict[str, Any] | None:
    """None where no model is loaded."""
    if serving is None:
        return None
    return {
        "engine": serving.engine,
        "bundle": serving.bundle,
        "sha256": serving.bundle_sha256,
        "threshold": serving.threshold,
        "provisional_rate": serving.provisional_rate,
    }


def latency_of(latency: Latency) -> dict[str, Any]:
    return {"count": latency.count, "p50": latency.p50_ms, "p99": latency.p99_ms}


def _camera(camera: CameraView) -> dict[str, Any]:
    return {
        "name": camera.name,
        "state": camera.state,
        "for_s": camera.for_s,
        "words": camera_words(camera),
        "counts": asdict(camera.counts) if camera.counts else None,
        "last_minute": work_of([camera.work.tally]),
        "strip": [_strip_frame(frame) for frame in camera.strip[:STRIP_TOLD]],
    }


def work_of(tallies: list[Tally]) -> dict[str, Any]:
    unjudged = sum((Counter(tally.unjudged) for tally in tallies), Counter[str]())
    judged = sum(tally.judged for tally in tallies)
    count = judged + unjudged.total()
    return {"judged": judged, "unjudged": dict(unjudged), "judged_ratio": judged / count if count else None}


def _strip_frame(frame: StripFrame) -> dict[str, Any]:
    verdict = frame.verdict
    address = f"api/strip/{quote(verdict.camera, safe='')}/{verdict.frame.id}.jpg"
    return {
        "result_id": verdict.result_id,
        "frame_id": verdict.frame.id,
        "first_line": verdict.frame.first_line,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "width": frame.width,
        "height": frame.height,
        "boxes": _boxes(verdict),
        "image": address if frame.picture else None,
    }


def _reject(reject: Reject) -> dict[str, Any]:
    verdict = reject.verdict
    address = f"api/rejects/{quote(verdict.result_id, safe='')}"
    return {
        "result_id": verdict.result_id,
        "sequence": verdict.sequence,
        "camera": verdict.camera,
        "created": verdict.created,
        "part_id": verdict.part_id,
        "frame_id": verdict.frame.id,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "score": verdict.score.model_dump() if verdict.score else None,
        "width": reject.width,
        "height": reject.height,
        "boxes": _boxes(verdict),
        "area_px": sum(defect.area_px for defect in verdict.defects),
        "input": f"{address}/input.jpg",
        "restored": f"{address}/restored.jpg" if reject.restored else None,
        "heat": f"{address}/heat.jpg" if reject.heat else None,
    }


def _boxes(verdict: Verdict) -> list[list[int]]:
    return [list(defect.bbox_px) for defect in verdict.defects]
