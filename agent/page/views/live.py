"""What happens now: the latest results of each camera, counters, and the last reject."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from agent import shift
from agent.archive.entry import strongest_label
from agent.clock import rfc3339
from agent.contract.verdict import Verdict
from agent.messages import VerdictName
from agent.page.sources import Json, Query, Sources
from agent.page.state import work_of
from agent.status.day import MINUTE_S, total
from agent.status.health import camera_words
from agent.status.snapshot import CameraView, Reject, Snapshot, StripFrame

MAX_RESULTS = 50  # of a camera, in one answer


def data(sources: Sources, query: Query) -> Json:
    return of(sources, sources.shown.snapshot())


def of(sources: Sources, snapshot: Snapshot, *, after_sequence: int = 0) -> Json:
    """With results of a later sequence number only; newest first."""
    results = sorted(
        (
            result_of(frame)
            for camera in snapshot.cameras
            for frame in camera.strip[:MAX_RESULTS]
            if frame.verdict.sequence > after_sequence
        ),
        key=lambda one: one["sequence"],
        reverse=True,
    )
    return {
        "now": rfc3339(snapshot.now),
        "start": {"since": rfc3339(snapshot.started), **counters(snapshot.counts)},
        "shift": _shift(sources, snapshot),
        "cameras": [camera_of(camera) for camera in snapshot.cameras],
        "parts": [] if sources.behind.parts is None else [part_of(one) for one in sources.behind.parts()],
        "results": results,
        "reject": next((reject_of(one) for one in snapshot.rejects if one.verdict.verdict == "fail"), None),
    }


def _shift(sources: Sources, snapshot: Snapshot) -> Json | None:
    """None where nothing is counted by the day, or no shifts are set."""
    day, starts = sources.behind.day, sources.behind.shift_starts
    if day is None or not starts:
        return None
    now = snapshot.now.astimezone()
    began = shift.began(now, starts)
    minutes = [one for some in day.minutes(began).values() for one in some]
    return {"since": rfc3339(began), "known_since": _known(day.first(), began), **counters(total(minutes))}


def _known(first_minute: int | None, began: datetime) -> str | None:
    """From when on a shift is known, where that is later than its beginning."""
    if first_minute is None or first_minute * MINUTE_S < began.timestamp() + MINUTE_S:
        return None
    return rfc3339(datetime.fromtimestamp(first_minute * MINUTE_S, timezone.utc))


def camera_of(camera: CameraView) -> Json:
    return {
        "name": camera.name,
        "state": camera.state,
        "words": camera_words(camera),
        "interval_s": camera.interval_s,
        "frozen_s": camera.frozen_s,
        "last_minute": work_of([camera.work.tally]),
    }


def part_of(rule: Json) -> Json:
    """A part rule: what became of its parts, and the last one with its views."""
    last = rule["last"]
    return {
        **{name: rule[name] for name in ("rule", "by", "cameras", "open", "counts")},
        "last": None
        if last is None
        else {
            name: last[name]
            for name in ("created", "verdict", "reason", "detail", "part_id", "key", "sequence")
        }
        | {
            "views": [
                {name: view[name] for name in ("camera", "result_id", "verdict")} for view in last["views"]
            ]
        },
    }


def result_of(frame: StripFrame) -> Json:
    """One cell of the film strip; `picture` is its address, or why there is none."""
    address = None if frame.picture is None else picture_address(frame.verdict.result_id, "thumb")
    return {
        **facts_of(frame.verdict),
        "width": frame.width,
        "height": frame.height,
        "picture": address,
        "no_picture": None if address else "let_go" if frame.is_let_go else "none",
    }


def reject_of(reject: Reject) -> Json:
    return {
        **facts_of(reject.verdict),
        "width": reject.width,
        "height": reject.height,
        "picture": picture_address(reject.verdict.result_id, "input"),
        "no_picture": None,
    }


def facts_of(verdict: Verdict) -> dict[str, Any]:
    """What the page says of a result wherever it names one."""
    return {
        "id": verdict.result_id,
        "sequence": verdict.sequence,
        "camera": verdict.camera,
        "created": verdict.created,
        "frame_id": verdict.frame.id,
        "first_line": verdict.frame.first_line,
        "part_id": verdict.part_id,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "score": None if verdict.score is None else verdict.score.normalized,
        "label": strongest_label(verdict.defects),
        "lines": verdict.frame.lines,
        "boxes": [list(defect.bbox_px) for defect in verdict.defects],
    }


def picture_address(result_id: str, kind: str) -> str:
    """Relative to the page."""
    return f"api/results/{quote(result_id, safe='')}/{kind}.jpg"


def counters(counts: Mapping[VerdictName, int]) -> Json:
    """In the words of a line: unknown is looked at and not decided, dropped is not looked at."""
    good, rejected, unknown, dropped = counts["pass"], counts["fail"], counts["undecided"], counts["skipped"]
    return {
        "triggers": good + rejected + unknown + dropped,
        "inspected": good + rejected + unknown,
        "good": good,
        "rejected": rejected,
        "unknown": unknown,
        "dropped": dropped,
    }
