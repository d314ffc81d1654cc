"""The views by their name, which is their address (`api/views/NAME`) and that of their module on the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from agent.page.sources import Json, Query, Sources
from agent.page.views import (
    cameras,
    changes,
    doctor,
    live,
    model,
    now,
    rejects,
    result,
    teach,
    trends,
    uplink,
)

Data: TypeAlias = Callable[[Sources, Query], Json]

VIEWS: Mapping[str, Data] = {
    "now": now.data,  # what all of them show at the top
    "live": live.data,
    "rejects": rejects.data,
    "result": result.data,  # of ?id=RESULT_ID
    "trends": trends.data,
    "cameras": cameras.data,
    "uplink": uplink.data,
    "model": model.data,
    "changes": changes.data,  # shown with the model and settings
    "teach": teach.data,
    "doctor": doctor.data,
}
