"""How a camera is opened by other settings, while the line that it feeds goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.cameras.camera import Camera
from agent.cameras.life import Patience
from agent.track.track import Track


@dataclass(slots=True, kw_only=True, eq=False)
class Anew:
    """`make` gives a fresh camera for each session; None: as before, so that what it counts goes on."""

    make: Callable[[], Camera] | None
    make_track: Callable[[], Track]
    patience: Patience
    let_go: threading.Event = field(default_factory=threading.Event)  # of the session before
    let_go_ns: int = 0  # what was captured before is of that session
