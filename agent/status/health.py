"""Whether the station does its work, decided from a snapshot and said in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent.status.board import CameraView, LinkView, OutboxDepth, Snapshot

HealthState: TypeAlias = Literal["starting", "running", "degraded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`reasons` is empty exactly when the state is running."""

    state: HealthState
    reasons: tuple[str, ...]


def assess(snapshot: Snapshot) -> Health:
    """Running needs a model, every camera streaming or finished, a broker that answers, no trouble."""
    reasons = [camera_words(camera) for camera in snapshot.cameras if camera.state in ("stalled", "lost")]
    if snapshot.link.state == "lost":
        reasons.append(broker_words(snapshot.link, snapshot.outbox))
    reasons += snapshot.troubles
    if reasons:
        return Health(state="degraded", reasons=tuple(reasons))
    waiting = [] if snapshot.serving else ["No model is loaded yet"]
    waiting += [camera_words(camera) for camera in snapshot.cameras if camera.state in ("closed", "opening")]
    if snapshot.link.state == "connecting":
        waiting.append(broker_words(snapshot.link, snapshot.outbox))
    return Health(state="starting" if waiting else "running", reasons=tuple(waiting))


def camera_words(camera: CameraView) -> str:
    """One sentence on a camera."""
    words = {
        "closed": f"Camera {camera.name} is closed",
        "opening": f"Camera {camera.name} is opening",
        "streaming": f"Camera {camera.name} is streaming",
        "stalled": f"Camera {camera.name} stalled for {duration_words(camera.for_s)}",
        "lost": f"Camera {camera.name} lost for {duration_words(camera.for_s)}",
        "finished": f"Camera {camera.name} has delivered all its frames",
    }[camera.state]
    if camera.detail:
        return f"{words}: {camera.detail}"
    again = camera.counts.reconnects if camera.counts else 0
    return f"{words}; reconnected {again} time{'s' * (again > 1)}" if again else words


def broker_words(link: LinkView, outbox: OutboxDepth) -> str:
    """One sentence on the broker and on what waits for it."""
    words = {
        "connecting": "Connecting to the broker",
        "connected": "Broker connected",
        "lost": f"Broker not reachable for {duration_words(link.for_s)}",
    }[link.state]
    detail = f" ({link.detail})" if link.detail else ""
    if outbox.rows == 0:
        waits = "nothing waits in the outbox"
    elif outbox.rows == 1:
        waits = "1 record waits in the outbox"
    else:
        waits = f"{outbox.rows} records wait in the outbox"
    return f"{words}{detail}; {waits}"


def duration_words(seconds: float) -> str:
    """Two units at most: 12 s, 4 min 10 s, 3 h 5 min, 2 d 4 h."""
    whole = max(int(seconds), 0)
    minutes, s = divmod(whole, 60)
    hours, min_ = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days} d {h} h"
    if hours:
        return f"{h} h {min_} min"
    return f"{min_} min {s} s" if minutes else f"{s} s"
