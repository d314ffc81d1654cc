"""Whether the station does its work, decided from a snapshot and said in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent.foreign import shown
from agent.status.snapshot import CameraView, LinkView, OutboxDepth, Snapshot
from agent.status.work import WINDOW_S

HealthState: TypeAlias = Literal["starting", "running", "degraded"]
HEALTH_STATES: tuple[HealthState, ...] = ("starting", "running", "degraded")

GROUNDS = {
    "overload": "queue full, the machine is too slow",
    "camera_error": "pictures could not be used",
    "lost_lines": "lines of the web were lost",
    "engine_error": "the engine failed",
    "no_model": "no model bundle is whole",
    "bundle_opening": "the bundle of their recipe is being opened",
    "not_finite": "the engine gave no numbers",
    "stopped": "the agent was stopped",
    "part_missing": "no part was named for them",
    "unknown_product": "no recipe is for them",
    "all_ignored": "all of them is ignored",
}
LONGEST_DETAIL = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`reasons` is empty exactly when the state is running; `causes` are the same without how long."""

    state: HealthState
    reasons: tuple[str, ...]
    causes: tuple[str, ...] = ()


def assess(snapshot: Snapshot) -> Health:
    """Running needs a model, every camera streaming or finished and its frames judged, a broker that answers,
    no trouble.
    """
    failing = [camera for camera in snapshot.cameras if camera.state in ("stalled", "lost")]
    reasons = [camera_words(camera) for camera in failing]
    causes = [f"Camera {camera.name} {camera.state}: {camera.detail}" for camera in failing]
    for camera in snapshot.cameras:
        if camera.work.trouble is not None:
            grounds = grounds_words(camera.work.trouble.grounds)
            reasons.append(f"Camera {camera.name}: {unjudged_words(camera)}: {grounds}")
            causes.append(f"Camera {camera.name}: too many frames are not judged: {grounds}")
        if camera.frozen_s is not None:
            reasons.append(frozen_words(camera.name, camera.frozen_s))
            causes.append(f"Camera {camera.name} gives the same picture again and again")
        if _is_mute(camera, snapshot):
            words = (
                f"Camera {camera.name} gives frames and none is recorded, while other cameras' are; "
                "check web and parts in its settings"
            )
            reasons.append(words)
            causes.append(words)
    if snapshot.link.state == "lost":
        reasons.append(broker_words(snapshot.link, snapshot.outbox))
        causes.append("Broker not reachable")
    if reasons or snapshot.troubles:
        return Health(
            state="degraded",
            reasons=(*reasons, *snapshot.troubles),
            causes=(*causes, *snapshot.troubles),
        )
    waiting = [] if snapshot.serving else ["No model is loaded yet"]
    waiting += [camera_words(camera) for camera in snapshot.cameras if camera.state in ("closed", "opening")]
    if snapshot.link.state == "connecting":
        waiting.append(broker_words(snapshot.link, snapshot.outbox))
    return Health(state="starting" if waiting else "running", reasons=tuple(waiting))


def frozen_words(camera: str, frozen_s: float) -> str:
    """That a camera's pictures are one and the same, and what to do."""
    return (
        f"Camera {camera} gives the same picture again and again, for {duration_words(frozen_s)};"
        " restart the camera, and check light and lens"
    )


def unjudged_words(camera: CameraView) -> str:
    """How much of the last minute was not judged."""
    tally = camera.work.tally
    if tally.count == 0:
        return "frames were not judged when it last gave any"
    if tally.judged == 0:
        return "none of the frames of the last minute was judged"
    return f"{share_words(tally.unjudged_share)} of the frames of the last minute were not judged"


def grounds_words(grounds: Mapping[str, str]) -> str:
    """Why frames are not judged, with what one record of each reason says."""
    words = []
    for reason, detail in grounds.items():
        said = shown(detail)
        if len(said) > LONGEST_DETAIL:
            said = f"{said[:LONGEST_DETAIL]}..."
        known = GROUNDS.get(reason, shown(reason).replace("_", " "))
        words.append(f"{known} ({said})" if said else known)
    return "; ".join(words)


def share_words(share: float) -> str:
    """A share in percent that says 0 or 100 only of none or all."""
    if 0 < share < 0.01:
        return "less than 1 %"
    return "more than 99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"


def _is_mute(camera: CameraView, snapshot: Snapshot) -> bool:
    """Frames have come for a minute without a record, though there is something to record."""
    others = any(other.work.tally.count for other in snapshot.cameras if other is not camera)
    return camera.state == "streaming" and camera.work.unrecorded_s >= WINDOW_S and others


def camera_words(camera: CameraView) -> str:
    """One sentence on a camera."""
    words = {
        "closed": f"Camera {camera.name} is closed",
        "opening": f"Camera {camera.name} is opening",
        "streaming": f"Camera {camera.name} is streaming",
        "stalled": f"Camera {camera.name} stalled for {duration_words(camera.for_s)}",
        "lost": f"Camera {camera.name} lost for {duration_words(camera.for_s)}",
        "finished": f"Camera {camera.name} has delivered all its frames",
        "disabled": f"Camera {camera.name} is disabled",
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
