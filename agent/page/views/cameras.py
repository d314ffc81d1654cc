"""Each camera: what it does, since when, how often, what it lost, and the gates that follow its parts."""

from __future__ import annotations

from dataclasses import asdict

from agent.clock import rfc3339
from agent.page.sources import Json, Query, Sources
from agent.page.views.live import camera_of, result_of
from agent.status.snapshot import CameraView


def data(sources: Sources, query: Query) -> Json:
    snapshot, drift = sources.shown.snapshot(), sources.behind.drift
    drifts = [] if drift is None else drift()
    outputs = [] if sources.behind.outputs is None else sources.behind.outputs()
    return {
        "now": rfc3339(snapshot.now),
        "can_command": sources.behind.desk is not None,
        "cameras": [
            {
                **_camera(camera),
                "drift": [one for one in drifts if one["camera"] == camera.name],
                "outputs": [one for one in outputs if one["camera"] == camera.name],
            }
            for camera in snapshot.cameras
        ],
    }


def _camera(camera: CameraView) -> Json:
    latest = next((one for one in camera.strip if one.picture is not None), None)
    return {
        **camera_of(camera),
        "for_s": camera.for_s,
        "counts": None if camera.counts is None else asdict(camera.counts),
        "latest": None if latest is None else result_of(latest),
    }
