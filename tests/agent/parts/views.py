"""Views and rules for tests of parts."""

from __future__ import annotations

from datetime import datetime, timezone

from agent.contract.part import By
from agent.messages import VerdictName
from agent.parts.verdict import Made
from agent.parts.view import Rule, View

CAMERAS = ("top", "side", "back")
BOOT = "0193586c-11f0-7d3c-9b0a-5d2f7e8a9c01"
SECOND = 1_000_000_000
MADE = Made(
    sequence=1,
    boot_id=BOOT,
    station="cell3",
    created=datetime(2026, 11, 22, 7, 15, tzinfo=timezone.utc),
    clock_synced=True,
)


def view(
    camera: str,
    *,
    result_id: str = "",
    sequence: int = 1,
    boot_id: str = BOOT,
    verdict: VerdictName = "pass",
    frame_id: int = 0,
    epoch: int = 0,
    encoder: int | None = None,
    part_id: str | None = None,
    bind_id: str | None = None,
    captured_ns: int | None = None,
) -> View:
    decided = verdict in ("pass", "fail")
    return View(
        camera=camera,
        result_id=result_id or f"{camera}-{sequence}",
        sequence=sequence,
        boot_id=boot_id,
        verdict=verdict,
        reason=None if decided else "overload",
        score=50.0 if decided else None,
        defects=int(verdict == "fail"),
        frame_id=frame_id,
        epoch=epoch,
        encoder=encoder,
        part_id=part_id,
        bind_id=bind_id,
        job_id=None,
        is_partial=False,
        is_simulated=True,
        created="2026-11-22T07:15:00.000Z",
        captured_ns=captured_ns,
    )


def rule(by: By, *, cameras: tuple[str, ...] = CAMERAS[:2], timeout_s: float = 1.0, **more: object) -> Rule:
    return Rule(name="housing", by=by, cameras=cameras, timeout_ns=round(timeout_s * SECOND), **more)  # type: ignore[arg-type]
